import type { Bell } from '../bell.ts'
import type { KeyList } from '../config/secrets.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { RequestFacts } from '../facts.ts'
import type { Locale } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { enqueue } from '../outbox/outbox.ts'
import { normaliseEmail } from '../users/email.ts'

declare module '../outbox/outbox.ts' {
  interface Payloads {
    /** Something to be done for whoever has an address, who may have no account. */
    account: AccountRequest
  }
}

/** What somebody asks for an address. */
export interface Wish {
  /** `registered`: somebody did, where addresses have to be verified; it may have an account of longer standing. */
  cause: 'forgot' | 'resend' | 'registered'
  email: string
  locale: Locale
}

/** The address is normalised. */
export type AccountRequest = Wish & { facts: RequestFacts }

/**
 * Asks for a mail to the owner of an address. One row is written and nothing is looked up, so neither the answer nor its
 * time tells an attacker who has an account: `carryOut` finds that out, where the attacker cannot watch.
 * @throws Problem invalid_email, which depends on the syntax alone.
 */
export async function requestMail(
  deps: { db: Db; serverKeys: KeyList; outboxBell: Bell },
  operation: Operation,
  wish: Wish,
): Promise<void> {
  const email = normaliseEmail(wish.email)
  await transact(deps.db, (tx) => requestMailIn(tx, deps, operation, { ...wish, email }))
}

/** The same within a transaction, for an address that is normalised. */
export async function requestMailIn(
  tx: Tx,
  deps: { serverKeys: KeyList; outboxBell: Bell },
  { now, facts }: Operation,
  wish: Wish,
): Promise<void> {
  await enqueue(tx, deps, now, { kind: 'account', payload: { ...wish, facts } })
}
