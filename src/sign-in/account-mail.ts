import { record } from '../audit/audit.ts'
import type { TalliedEvent } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import type { Bell } from '../bell.ts'
import type { Clock } from '../clock.ts'
import type { KeyList } from '../config/secrets.ts'
import { identify } from '../credentials/attempts.ts'
import { issueCode, mayMail } from '../credentials/codes/codes.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { negotiate } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { askedBy } from '../outbox/mail/asked.ts'
import { enqueue, type Handler } from '../outbox/outbox.ts'
import { lockAccountOf } from '../users/lookup.ts'
import { isUnproved } from '../users/prove-address.ts'
import type { AccountRequest } from './request-mail.ts'

type MailDeps = { db: Db; clock: Clock; serverKeys: KeyList; tally: Tally; outboxBell: Bell }

/** What was asked, and the transaction in which it is done. */
interface Task {
  tx: Tx
  operation: Operation
  request: AccountRequest
  askedAt: Date
}

/**
 * Does what was asked for an address, where whoever asked cannot watch: finds the account, judges the limits, makes the link
 * and writes the mail, all in one transaction. If the server dies right after that, it is done once more: a second mail goes
 * out, and its link is the one that is good.
 */
export function carryOut(deps: MailDeps): Handler<'account'> {
  return async (request, { enqueuedAt: askedAt }) => {
    const operation: Operation = { now: deps.clock(), actor: 'anonymous', facts: request.facts }
    const events = await transact(deps.db, (tx) => answer(deps, { tx, operation, request, askedAt }))
    for (const event of events) await deps.tally.add(operation, event)
  }
}

/** @returns what came to nothing, for the trail. */
async function answer(deps: MailDeps, task: Task): Promise<TalliedEvent[]> {
  switch (task.request.cause) {
    case 'forgot':
      return await mailReset(deps, task)
    case 'resend':
      return await mailVerification(deps, task)
    case 'registered':
      return await answerRegistration(deps, task)
    default:
      return task.request.cause satisfies never
  }
}

async function mailReset(deps: MailDeps, task: Task): Promise<TalliedEvent[]> {
  const { tx, operation, request } = task
  const user = await lockAccountOf(tx, request.email)
  const failed = { type: 'password.reset_requested', outcome: 'failure', ...about(deps, request, user) } as const
  if (!user) return [{ ...failed, reason: 'unknown_user' }]
  if (user.disabledAt) return [{ ...failed, reason: 'user_disabled' }]
  if (!(await mailLink(deps, task, user, 'reset-password'))) return [{ ...failed, reason: 'too_many_mails' }]
  await record(tx, operation, { type: 'password.reset_requested', outcome: 'success', userId: user.id })
  return []
}

async function mailVerification(deps: MailDeps, task: Task): Promise<TalliedEvent[]> {
  const { tx, operation, request } = task
  const user = await lockAccountOf(tx, request.email)
  const failed = { type: 'email.verification_sent', outcome: 'failure', ...about(deps, request, user) } as const
  if (!user) return [{ ...failed, reason: 'unknown_user' }]
  if (user.disabledAt) return [{ ...failed, reason: 'user_disabled' }]
  if (user.emailVerified) return [{ ...failed, reason: 'already_verified' }]
  if (!(await mailLink(deps, task, user, 'verify-email'))) return [{ ...failed, reason: 'too_many_mails' }]
  await record(tx, operation, { type: 'email.verification_sent', outcome: 'success', userId: user.id })
  return []
}

/**
 * Lets whoever registered verify the address, or tells its owner that it has an account already. The password of an account
 * that waits to be verified stays as it is, whoever registers it again: whoever verifies it states theirs.
 */
async function answerRegistration(deps: MailDeps, task: Task): Promise<TalliedEvent[]> {
  const { tx, operation, request, askedAt } = task
  const user = await lockAccountOf(tx, request.email)
  if (!user || user.disabledAt) return []
  if (isUnproved(user)) return await mailVerification(deps, task)
  if (await mayMail(tx, deps.serverKeys, operation.now, user.email)) {
    const asked = askedBy({ now: askedAt, facts: request.facts })
    // A stranger may have asked, in a language that the owner does not read.
    const locale = negotiate(user.locale ?? request.locale, undefined)
    const mail = { to: user.email, locale, template: 'account-exists', asked } as const
    await enqueue(tx, deps, operation.now, { kind: 'mail', payload: mail })
  }
  return []
}

const PURPOSES = { 'reset-password': 'reset_password', 'verify-email': 'verify_email' } as const

/** @returns false if the address has had as many mails as it may: the link that went out last stays good. */
async function mailLink(
  deps: MailDeps,
  { tx, operation: { now }, request: { locale, facts }, askedAt }: Task,
  { id: userId, email }: User,
  template: keyof typeof PURPOSES,
): Promise<boolean> {
  if (!(await mayMail(tx, deps.serverKeys, now, email))) return false
  const purpose = PURPOSES[template]
  const { token, code, expiresAt } = await issueCode(tx, deps.serverKeys, now, { purpose, userId, email })
  const link = { token, code, expiresAt: expiresAt.toISOString(), asked: askedBy({ now: askedAt, facts }) }
  await enqueue(tx, deps, now, { kind: 'mail', payload: { to: email, locale, template, ...link } })
  return true
}

function about({ serverKeys }: MailDeps, { email }: AccountRequest, user: User | undefined) {
  return { userId: user?.id ?? null, details: { identifier: identify(serverKeys, email) } }
}
