import type { KeyList } from '../config/secrets.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import type { RequestFacts } from '../facts.ts'
import type { Locale } from '../languages.ts'
import type { Operation } from '../operation.ts'
import type { Bell } from '../outbox/bell.ts'
import { enqueue } from '../outbox/outbox.ts'
import { normaliseEmail } from '../users/email.ts'

declare module '../outbox/outbox.ts' {
  interface Payloads {
    /** Something to be done for whoever has an address, who may have no account. */
    account: AccountRequest
  }
}

/** What somebody asks for an address. */
export type Wish = {
  email: string
  locale: Locale
} & (
  | { cause: 'forgot' | 'resend' }
  /** To register, where the address has to be verified. */
  | { cause: 'registered'; passwordHash: string }
)

/** The address is normalised. */
export type AccountRequest = Wish & { facts: RequestFacts }

/**
 * Asks for a mail to the owner of an address. One row is written and nothing is looked up, so neither the answer nor its
 * time tells an attacker who has an account: `carryOut` finds that out, where the attacker cannot watch.
 * @throws Problem invalid_email, which depends on the syntax alone.
 */
export async function requestMail(
  deps: { db: Db; serverKeys: KeyList; outboxBell: Bell },
  { now, facts }: Operation,
  wish: Wish,
): Promise<void> {
  const payload = { ...wish, email: normaliseEmail(wish.email), facts }
  await transact(deps.db, (tx) => enqueue(tx, deps, now, { kind: 'account', payload }))
}
