import type { Operation } from '../../operation.ts'
import type { Asked } from './mail.ts'

/** What a mail tells of the request that it is about. */
export function askedBy({ now, facts }: Pick<Operation, 'now' | 'facts'>): Asked {
  return { at: now.toISOString(), address: facts.address, userAgent: facts.userAgent }
}
