import type { Bell } from '../../bell.ts'
import type { Config } from '../../config/config.ts'
import type { KeyList } from '../../config/secrets.ts'
import type { Tx } from '../../db/schema.ts'
import { DAY, HOUR } from '../../durations.ts'
import { negotiate } from '../../languages.ts'
import type { Operation } from '../../operation.ts'
import { enqueue } from '../outbox.ts'
import { askedBy } from './asked.ts'
import type { Template } from './mail.ts'
import { countNotice, deleteNotices, type NoticeRule } from './notice-queries.ts'

/** What the owner of an account is told although nobody asked for a mail. */
type Notice = Extract<
  Template,
  'new-device' | 'password-changed' | 'password-disabled' | 'password-reset' | 'session-reuse'
>

/** A thief could cause most of these again and again, to bury the first mail under others. */
const RULES: Record<Notice, NoticeRule> = {
  'new-device': { most: 3, within: DAY },
  'password-changed': { most: 10, within: DAY },
  'password-reset': { most: 10, within: DAY },
  'password-disabled': { most: 1, within: HOUR },
  'session-reuse': { most: 1, within: HOUR },
}

export interface NoticeDeps {
  config: Config
  serverKeys: KeyList
  outboxBell: Bell
}

/**
 * Tells the owner of an account by mail, in the transaction of what happened. Called last in it: the rows of others
 * are not waited for while this one is held.
 * @returns whether a mail goes out.
 */
export async function tellOwner(
  tx: Tx,
  deps: NoticeDeps,
  operation: Operation,
  about: { userId: string; cause: Notice },
): Promise<boolean> {
  const { now, facts } = operation
  if (deps.config.mail === 'off') return false
  const owner = await countNotice(tx, now, about, RULES[about.cause])
  if (!owner) return false
  const locale = negotiate(owner.locale ?? undefined, facts.acceptLanguage ?? undefined)
  const mail = { to: owner.email, locale, template: about.cause, asked: askedBy(operation) }
  await enqueue(tx, deps, now, { kind: 'mail', payload: mail })
  return true
}

/** Forgets what an account was told of, which is about to be deleted. */
export async function forgetNotices(tx: Tx, userId: string): Promise<void> {
  await deleteNotices(tx, userId)
}
