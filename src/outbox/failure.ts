import { isUnavailable } from '../db/errors.ts'

/**
 * A delivery was not accepted, and may be later. The message is stored in the clear and shown to operators: words of ours
 * and codes, never an address, a link, or what another server wrote.
 */
export class NotDelivered extends Error {
  override readonly name: string = 'NotDelivered'
}

/** A delivery that will never be accepted, or is of no use any more: it is not tried again. */
export class Undeliverable extends NotDelivered {
  override readonly name = 'Undeliverable'
}

/** What is stored of a failure. Of errors that nobody has put into words it is the code, because messages quote what they are about. */
export function wordsFor(error: unknown): string {
  if (error instanceof NotDelivered) return error.message.slice(0, 200)
  if (isUnavailable(error)) return 'the database was unavailable'
  const { code, name } = error as { code?: unknown; name?: unknown }
  return [code, name].find((word) => typeof word === 'string' && /^\w{1,40}$/.test(word))?.toString() ?? 'unknown error'
}
