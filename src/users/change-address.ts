import { record } from '../audit/audit.ts'
import type { AddressRefusal } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Bell } from '../bell.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { identify } from '../credentials/attempts.ts'
import {
  type CodeFacts,
  checkCode,
  checkLink,
  issueCode,
  mayMail,
  mayNameAddress,
  redeemCode,
  voidCodes,
} from '../credentials/codes/codes.ts'
import { hasWayBack, voidOtherChange, voidSince } from '../credentials/codes/ways-back.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { prove } from '../credentials/passwords/proof.ts'
import { refuse } from '../credentials/passwords/refusal.ts'
import { refusePassword } from '../credentials/passwords/reset.ts'
import { transact } from '../db/errors.ts'
import type { Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { HOUR, SECOND } from '../durations.ts'
import { Problem } from '../errors.ts'
import { type Locale, negotiate } from '../languages.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import type { Operation } from '../operation.ts'
import { askedBy } from '../outbox/mail/asked.ts'
import { enqueue } from '../outbox/outbox.ts'
import type { UserPrincipal } from '../principal.ts'
import { type EndDeps, endAll } from '../sessions/end.ts'
import { giveAddress } from './address.ts'
import { normaliseEmail } from './email.ts'
import { findByEmail, lockById } from './queries.ts'

interface CodeDeps extends EndDeps {
  serverKeys: KeyList
  outboxBell: Bell
  tally: Tally
}

interface AskDeps extends CodeDeps {
  config: Config
  hasher: PasswordHasher
  metrics: Metrics
  log: Log
}

/**
 * Sends a link to another address, for a user who is signed in and knows the password, and tells the present address.
 * Nothing changes until the link is used. Wrong guesses count as failed sign-ins, as when the password is changed.
 * @throws Problem invalid_email; invalid_credentials; too_many_requests; overloaded; unavailable.
 */
export async function askForAddress(
  deps: AskDeps,
  operation: Operation,
  principal: Pick<UserPrincipal, 'sessionId' | 'clientId'> & {
    subject: Pick<UserPrincipal['subject'], 'id' | 'email'>
  },
  input: { email: string; currentPassword: string; locale: Locale },
): Promise<void> {
  const { id, email } = principal.subject
  const wanted = normaliseEmail(input.email)
  if (wanted === email) throw new Problem('invalid_email', { detail: 'It is the address that the account has.' })
  const about = { userId: id, familyId: principal.sessionId, clientId: principal.clientId }
  const proof = await prove(
    deps,
    operation,
    { email, id, password: input.currentPassword, address: null },
    {
      replaceHash: async () => undefined,
      commit: async (tx, user) => {
        await sendLink(tx, deps, operation, { user, wanted, locale: input.locale })
        await record(tx, operation, { type: 'user.email_change_requested', outcome: 'success', ...about })
      },
    },
  )
  if (proof.kind === 'proven') return

  const reason = proof.kind === 'held_off' ? 'backoff' : 'wrong_password'
  await deps.tally.add(operation, { type: 'user.email_change_requested', outcome: 'failure', reason, ...about })
  await refuse(deps, operation, identify(deps.serverKeys, email), proof)
}

/**
 * The same is written whether or not the new address has an account, or else a user could find out about any address by
 * asking for it. If it has one, the code goes nowhere, and the owner of that account is told that there is one: it may be
 * the same person, waiting for a link.
 */
async function sendLink(
  tx: Tx,
  deps: AskDeps,
  operation: Operation,
  { user, wanted, locale }: { user: User; wanted: string; locale: Locale },
): Promise<void> {
  const { now } = operation
  if (!(await mayNameAddress(tx, deps.serverKeys, now, user.id)))
    throw new Problem('too_many_requests', {
      detail: 'Ask for another address ten times a day at most.',
      retryAfter: HOUR / SECOND,
    })
  const asked = askedBy(operation)
  const holder = await findByEmail(tx, wanted)
  // Also if no mail may go to the new one: what becomes of the link for another address would tell that.
  await voidOtherChange(tx, user.id, wanted)
  if (await mayMail(tx, deps.serverKeys, now, wanted)) {
    const about = { purpose: 'change_email', userId: user.id, email: wanted } as const
    const { token, code, expiresAt } = await issueCode(tx, deps.serverKeys, now, about)
    const proof = { token, code, expiresAt: expiresAt.toISOString() }
    const payload = { to: wanted, asked } as const
    await enqueue(tx, deps, now, {
      kind: 'mail',
      payload: holder
        ? { ...payload, locale: languageOf(holder, locale), template: 'account-exists' }
        : { ...payload, locale, template: 'change-email', ...proof },
    })
  }
  // That it took effect is told beyond any limit, so a thief who uses the limit up first keeps nothing from the owner.
  if (await mayMail(tx, deps.serverKeys, now, user.email)) {
    const told = { template: 'email-change-asked', newEmail: wanted, asked } as const
    const payload = { to: user.email, locale: languageOf(user, locale), ...told }
    await enqueue(tx, deps, now, { kind: 'mail', payload })
  }
}

/** A thief chooses in which language to ask. The owner is to understand what the thief has done. */
function languageOf({ locale }: User, asked: Locale): Locale {
  return negotiate(locale ?? asked, undefined)
}

/** What was sent to the new address: the token of the link, or the code, which only the user who asked may type. */
type FromNewAddress = { token: string } | { userId: string; code: string }

/**
 * Gives an account the address that its user asked for, once its mailbox is proved. Sessions go on: their tokens hold no
 * address. The old address gets a link that takes the change back.
 * @throws Problem invalid_code; email_taken, if another account was first, and nothing is used up.
 */
export async function confirmAddress(
  deps: CodeDeps,
  operation: Operation,
  { locale, ...presented }: FromNewAddress & { locale: Locale },
): Promise<void> {
  const checked = await checkCode(deps, operation.now, 'change_email', presented)
  const outcome =
    checked.kind === 'refused'
      ? checked.reason
      : await transact(deps.db, (tx) => takeEffect(tx, deps, operation, { ...checked.facts, locale }))
  if (outcome === 'done') return
  await deps.tally.add(operation, { type: 'user.email_changed', outcome: 'failure', reason: outcome })
  throw new Problem('invalid_code', { reason: outcome })
}

async function takeEffect(
  tx: Tx,
  deps: CodeDeps,
  operation: Operation,
  facts: CodeFacts & { locale: Locale },
): Promise<'done' | AddressRefusal> {
  const { now } = operation
  const { userId, email, locale } = facts
  const user = userId === null ? undefined : await lockById(tx, userId)
  // The code stays: an operator may let the account in again.
  if (user?.disabledAt) return 'user_disabled'
  if (!user || !(await redeemCode(tx, facts))) return 'unknown_link'
  await giveAddress(tx, deps.serverKeys, user.id, { email, verified: true, now })
  await voidCodes(tx, user.id)
  // An account that returns to an address it had a short while ago takes a change back. The address in between may be a
  // thief's, and gets no way back.
  if (await hasWayBack(tx, now, user.id, email)) await tellReturn(tx, deps, operation, { user, email, locale })
  else {
    const about = { purpose: 'undo_email_change', userId: user.id, email: user.email } as const
    const { token, expiresAt } = await issueCode(tx, deps.serverKeys, now, about)
    const told = { newEmail: email, token, expiresAt: expiresAt.toISOString(), asked: askedBy(operation) }
    const payload = { to: user.email, locale: languageOf(user, locale), template: 'email-changed', ...told } as const
    await enqueue(tx, deps, now, { kind: 'mail', payload })
  }
  await record(tx, operation, { type: 'user.email_changed', outcome: 'success', userId: user.id })
  return 'done'
}

/** Tells the address in between: somebody may have got hold of a mailbox that the owner has given up. */
async function tellReturn(
  tx: Tx,
  deps: CodeDeps,
  operation: Operation,
  { user, email, locale }: { user: User; email: string; locale: Locale },
): Promise<void> {
  const told = { template: 'email-change-undone', newEmail: email, asked: askedBy(operation) } as const
  const payload = { to: user.email, locale: languageOf(user, locale), ...told }
  await enqueue(tx, deps, operation.now, { kind: 'mail', payload })
}

/**
 * Gives an account the address back that it had before, for whoever reads the mailbox of it. The address was changed by
 * somebody who knew the password and had a session, so neither counts any more: every session ends, and the password is
 * refused until it is reset, by a link that is sent to the address.
 * @throws Problem invalid_code; email_taken, if another account has the address, and nothing is used up.
 */
export async function undoAddress(
  deps: CodeDeps,
  operation: Operation,
  { locale, token }: { token: string; locale: Locale },
): Promise<void> {
  const checked = await checkLink(deps, operation.now, 'undo_email_change', token)
  const outcome =
    checked.kind === 'refused'
      ? checked.reason
      : await transact(deps.db, (tx) => takeBack(tx, deps, operation, { ...checked.facts, locale }))
  if (outcome === 'done') return
  await deps.tally.add(operation, { type: 'user.email_change_undone', outcome: 'failure', reason: outcome })
  throw new Problem('invalid_code', { reason: outcome })
}

async function takeBack(
  tx: Tx,
  deps: CodeDeps,
  operation: Operation,
  facts: CodeFacts & { locale: Locale },
): Promise<'done' | 'unknown_link'> {
  const { now } = operation
  const { userId, email, locale } = facts
  const user = userId === null ? undefined : await lockById(tx, userId)
  if (!user || !(await redeemCode(tx, facts))) return 'unknown_link'
  await giveAddress(tx, deps.serverKeys, user.id, { email, verified: true, now })
  await refusePassword(tx, user, now)
  await endAll(tx, deps, operation, { userId: user.id, cause: 'email_change_undone' })
  await voidSince(tx, user.id, facts)
  const about = { purpose: 'reset_password', userId: user.id, email } as const
  const { token, code, expiresAt } = await issueCode(tx, deps.serverKeys, now, about)
  // Beyond any limit: the way back is good once, and a thief could have used the limit up.
  const proof = { token, code, expiresAt: expiresAt.toISOString(), asked: askedBy(operation) }
  await enqueue(tx, deps, now, { kind: 'mail', payload: { to: email, locale, template: 'reset-password', ...proof } })
  await tellReturn(tx, deps, operation, { user, email, locale })
  await record(tx, operation, { type: 'user.email_change_undone', outcome: 'success', userId: user.id })
  return 'done'
}
