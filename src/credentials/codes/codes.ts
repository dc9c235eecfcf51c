import { createHash, randomInt, randomUUID } from 'node:crypto'
import { hmac, type KeyList } from '../../config/secrets.ts'
import type { Db, OneTimePurpose, Tx } from '../../db/schema.ts'
import { DAY, HOUR, MINUTE } from '../../durations.ts'
import { Problem } from '../../errors.ts'
import { randomBytes } from '../../random.ts'
import { mailboxOf } from './mailbox.ts'
import {
  type CodeFacts,
  countMail,
  deleteCode,
  deleteCodes,
  deleteCodesOf,
  findByToken,
  type Owner,
  replaceCode,
  tryCode,
} from './queries.ts'

export type { CodeFacts }

const LIVES_MS: Record<OneTimePurpose, number> = {
  verify_email: DAY,
  reset_password: 30 * MINUTE,
  change_email: HOUR,
  // Long, because it is the way back for somebody whose account was taken while they were away.
  undo_email_change: 7 * DAY,
  invitation: 7 * DAY,
}
/** With 3 mails an hour and 10 a day, a guess at eight digits has a chance of one in two million a day. */
const MOST_TRIES = 5
const MOST_MAILS = { anHour: 3, aDay: 10 }
/** To all addresses with a plus sign of one mailbox. A team that tries things out with such addresses has room, a flood has not. */
const MOST_TO_MAILBOX = { anHour: 30, aDay: 100 }
/** Of one account. Nobody moves more often. */
const MOST_CHANGES = { anHour: 10, aDay: 10 }
const TOKEN_BYTES = 32

/** What a mail needs. Only this ever holds the token and the code; the database has hashes. */
export interface IssuedCode {
  id: string
  /** 43 characters of base64url, for the fragment of a link. */
  token: string
  /** Eight digits. */
  code: string
  expiresAt: Date
}

/**
 * Makes a link and a code, and voids those that were sent before for the same. The caller has locked the user.
 * @param about `email` is the address that the mail goes to.
 */
export async function issueCode(
  tx: Tx,
  serverKeys: KeyList,
  now: Date,
  about: { purpose: OneTimePurpose; userId: string | null; email: string; details?: Record<string, unknown> },
): Promise<IssuedCode> {
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const code = randomInt(100_000_000).toString().padStart(8, '0')
  const { purpose, details = {} } = about
  const expiresAt = new Date(now.getTime() + LIVES_MS[purpose])
  const [codeHash = null] = purpose === 'undo_email_change' ? [] : hashesOf(serverKeys, purpose, code)
  const issued = { ...about, details, tokenHash: hashOf(token), codeHash, createdAt: now, expiresAt }
  for (let round = 0; round < 3; round++) {
    const id = randomUUID()
    if (await replaceCode(tx, { ...issued, id })) return { id, token, code, expiresAt }
  }
  throw new Problem('unavailable', { reason: 'conflict', retryAfter: 1 })
}

/** What somebody presents: the token of a link, or the digits and whose they are. */
export type PresentedCode = { token: string } | (Owner & { code: string })

type CheckedLink = { kind: 'valid'; facts: CodeFacts } | { kind: 'refused'; reason: 'unknown_link' | 'expired' }

export type Checked = CheckedLink | { kind: 'refused'; reason: 'no_code' | 'wrong_code' }

/**
 * Judges what is presented, and counts a wrong code. It uses nothing up: between this and `redeem` there may be a hash to
 * compute, for which no transaction waits.
 */
export async function checkCode(
  deps: { db: Db; serverKeys: KeyList },
  now: Date,
  purpose: OneTimePurpose,
  presented: PresentedCode,
): Promise<Checked> {
  if ('token' in presented) return await checkLink(deps, now, purpose, presented.token)
  const { code, ...owner } = presented
  // Mails write it in groups, and people copy it so.
  const codeHashes = hashesOf(deps.serverKeys, purpose, code.replace(/\s/g, ''))
  const tried = await tryCode(deps.db, now, { purpose, owner, codeHashes }, MOST_TRIES)
  if (!tried) return { kind: 'refused', reason: 'no_code' }
  const { matches, ...facts } = tried
  return matches ? { kind: 'valid', facts } : { kind: 'refused', reason: 'wrong_code' }
}

/** The same for what has no code beside the link. */
export async function checkLink(
  { db }: { db: Db },
  now: Date,
  purpose: OneTimePurpose,
  token: string,
): Promise<CheckedLink> {
  const facts = await findByToken(db, purpose, hashOf(token))
  if (!facts) return { kind: 'refused', reason: 'unknown_link' }
  return facts.expiresAt > now ? { kind: 'valid', facts } : { kind: 'refused', reason: 'expired' }
}

/**
 * Uses up what `checkCode` found valid. The caller has locked the user, if there is one: two who present the same at the
 * same moment come here one after the other.
 * @returns whether this is the one that may go on.
 */
export async function redeemCode(tx: Tx, { id }: Pick<CodeFacts, 'id'>): Promise<boolean> {
  return await deleteCode(tx, id)
}

/** What a change of password or address voids. A way back outlives both: a thief would change the password to destroy it. */
const BOUND: readonly OneTimePurpose[] = ['verify_email', 'reset_password', 'change_email']

/** Voids what was sent to a user, as every change of password or address does. The caller has locked the user. */
export async function voidCodes(tx: Tx, userId: string, purposes = BOUND): Promise<void> {
  await deleteCodesOf(tx, userId, purposes)
}

/** Forgets all that a user was sent, whose account is about to be deleted. */
export async function forgetCodes(tx: Tx, userId: string): Promise<void> {
  await deleteCodes(tx, userId)
}

/**
 * Counts a mail that somebody asked for, whatever the reason, by its address and by the mailbox that it goes to. Beyond a limit
 * nothing is sent and nothing issued, so that the newest link stays good.
 */
export async function mayMail(tx: Tx, serverKeys: KeyList, now: Date, email: string): Promise<boolean> {
  const { identifiers } = serverKeys[0]
  if (!(await countMail(tx, now, hmac(identifiers, 'mail\0', email), MOST_MAILS))) return false
  const mailbox = mailboxOf(email)
  return mailbox === email || (await countMail(tx, now, hmac(identifiers, 'mailbox\0', mailbox), MOST_TO_MAILBOX))
}

/**
 * Counts a mail to an address that a user names. Each may be another's, so what is counted by mailbox does not keep one account
 * from having us write to any number of people.
 */
export async function mayNameAddress(tx: Tx, serverKeys: KeyList, now: Date, userId: string): Promise<boolean> {
  return await countMail(tx, now, hmac(serverKeys[0].identifiers, 'mails of\0', userId), MOST_CHANGES)
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Of a code of one purpose, one for each entry of CLAVIGER_SECRET, newest first. */
function hashesOf(serverKeys: KeyList, purpose: OneTimePurpose, code: string): Buffer[] {
  return serverKeys.map((keys) => hmac(keys.codes, purpose, '\0', code))
}
