import { randomUUID } from 'node:crypto'
import { record } from '../audit/audit.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailures, withDisabledPassword } from '../credentials/attempts.ts'
import { isKeptFromOthers } from '../credentials/codes/ways-back.ts'
import type { PasswordHasher } from '../credentials/passwords/hasher.ts'
import { checkNewPassword } from '../credentials/passwords/policy.ts'
import { forgive, replacePassword } from '../credentials/passwords/reset.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { User } from '../db/user.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { type NoticeDeps, tellOwner } from '../outbox/mail/notices.ts'
import { append } from '../revocations/append.ts'
import { isRevokedAgain, outlastRevocation } from '../revocations/subject.ts'
import { type EndDeps, endAll } from '../sessions/end.ts'
import { normaliseEmail } from './email.ts'
import { lookUp, withUser } from './lookup.ts'
import { insertUser, listAfter, type NewUser, removeUser, writeDisabledAt } from './queries.ts'
import { checkRoles, checkRoom, roomNow } from './rights.ts'

/** An account as operators see it, without the password hash, which could be cracked. */
export interface Account extends Omit<User, 'passwordHash' | 'passwordDisabledAt' | 'signedInAt' | 'locale'> {
  hasPassword: boolean
  /** Too many failures in a row: the right password is refused too, until somebody enables the account again. */
  passwordDisabled: boolean
}

/**
 * Creates an account on behalf of an operator. Without a password, nobody can sign in to it with one.
 * @throws Problem invalid_email, invalid_request (roles), password_*, email_taken.
 */
export async function createUser(
  deps: { db: Db; clock: Clock; config: Config; hasher: PasswordHasher; serverKeys: KeyList },
  asked: Operation,
  input: { email: string; password: string | null; roles: string[] },
): Promise<Account> {
  const email = normaliseEmail(input.email)
  const roles = checkRoles(input.roles)
  checkRoom(await roomNow(deps), { roles, claims: {} })
  if (input.password !== null) checkNewPassword(deps.config, email, input.password)
  const passwordHash = input.password === null ? null : await deps.hasher.hash(input.password)
  const operation = { ...asked, now: deps.clock() }
  const user = await transact(deps.db, async (tx) => {
    const id = randomUUID()
    const user = { id, email, passwordHash, mustVerify: false, roles, createdAt: operation.now }
    const added = await addUser(tx, deps.serverKeys, user)
    if (!added) return undefined
    await record(tx, operation, { type: 'user.created', outcome: 'success', userId: added.id })
    return added
  })
  if (!user) throw new Problem('email_taken')
  return toAccount(user, false)
}

/**
 * Inserts an account. Strangers may have failed to sign in with its address while it had no account, which must not
 * lock out the owner, so those failures are forgotten.
 * @returns undefined if the address has an account, or is kept for one.
 */
export async function addUser(tx: Tx, serverKeys: KeyList, user: NewUser): Promise<User | undefined> {
  const added = await insertUser(tx, user)
  // Asked in either case, so that the time of a registration tells no more of the address.
  const kept = await isKeptFromOthers(tx, user.createdAt, user.id, user.email)
  if (!added) return undefined
  if (kept) {
    await removeUser(tx, added.id)
    return undefined
  }
  await clearFailures(tx, serverKeys, added)
  return added
}

/**
 * Lists accounts in order of creation.
 * @param page `after` is the id of the last account of the previous page.
 */
export async function listUsers(db: Db, page: { after?: string | undefined; limit: number }): Promise<Account[]> {
  const users = await listAfter(db, page.after ?? null, page.limit)
  const disabled = await withDisabledPassword(db, users)
  return users.map((user) => toAccount(user, disabled.has(user.id)))
}

/**
 * Finds an account by its id or e-mail address.
 * @throws Problem not_found, invalid_email.
 */
export async function findUser(db: Db, idOrEmail: string): Promise<Account> {
  const user = await lookUp(db, idOrEmail)
  return toAccount(user, (await withDisabledPassword(db, [user])).has(user.id))
}

/**
 * Disables a user: ends every session, and no other can be started.
 * @returns how many sessions ended.
 * @throws Problem not_found.
 */
export async function disableUser(deps: EndDeps, operation: Operation, idOrEmail: string): Promise<number> {
  return await withUser(deps, idOrEmail, async (tx, user) => {
    // The user first, then the sessions: a sign-in that is waiting for the user's row then finds it disabled.
    if (!user.disabledAt) {
      await writeDisabledAt(tx, user.id, operation.now)
      await record(tx, operation, { type: 'user.disabled', outcome: 'success', userId: user.id })
    }
    await append(tx, deps, operation, [{ kind: 'subject', sub: user.id }])
    return await endAll(tx, deps, operation, { userId: user.id, cause: 'user_disabled' })
  })
}

/**
 * Lets a user sign in again: undoes a disable, the back-off, and the disabling of the password after too many failures.
 * @returns false, and nothing has changed, if somebody has disabled the user since this began: they were told that it holds.
 * @throws Problem not_found.
 */
export async function enableUser(
  deps: { db: Db; clock: Clock; serverKeys: KeyList },
  asked: Operation,
  idOrEmail: string,
): Promise<boolean> {
  const { id } = await lookUp(deps.db, idOrEmail)
  const outlasted = await outlastRevocation(deps, id)
  const operation = { ...asked, now: deps.clock() }
  return await withUser(deps, id, async (tx, user) => {
    if (user.disabledAt && (await isRevokedAgain(tx, id, outlasted))) return false
    const heldOff = await forgive(tx, deps.serverKeys, user)
    if (user.disabledAt) await writeDisabledAt(tx, user.id, null)
    if (user.disabledAt || heldOff) {
      await record(tx, operation, { type: 'user.enabled', outcome: 'success', userId: user.id })
    }
    return true
  })
}

/**
 * Sets another password, for somebody who has lost theirs or whose password was stolen. All sessions end, so that a
 * thief who has signed in is thrown out. Failures with the old password are forgotten, and the owner is told by mail.
 * @returns how many sessions ended.
 * @throws Problem not_found, password_*.
 */
export async function setPassword(
  deps: NoticeDeps & EndDeps & { clock: Clock; hasher: PasswordHasher },
  asked: Operation,
  idOrEmail: string,
  password: string,
): Promise<number> {
  const { email } = await lookUp(deps.db, idOrEmail)
  checkNewPassword(deps.config, email, password)
  const passwordHash = await deps.hasher.hash(password)
  const operation = { ...asked, now: deps.clock() }
  return await withUser(deps, idOrEmail, async (tx, user) => {
    await replacePassword(tx, deps.serverKeys, user, passwordHash)
    await record(tx, operation, { type: 'password.changed', outcome: 'success', userId: user.id })
    await append(tx, deps, operation, [{ kind: 'credential', userId: user.id }])
    const ended = await endAll(tx, deps, operation, { userId: user.id, cause: 'password_changed' })
    await tellOwner(tx, deps, operation, { userId: user.id, cause: 'password-changed' })
    return ended
  })
}

function toAccount(
  { passwordHash, passwordDisabledAt: _since, signedInAt: _first, locale: _language, ...user }: User,
  passwordDisabled: boolean,
): Account {
  return { ...user, hasPassword: passwordHash !== null, passwordDisabled }
}
