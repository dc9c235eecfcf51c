import { randomUUID } from 'node:crypto'
import { NO_REQUEST, type RequestFacts, record } from '../audit/audit.ts'
import { transact } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import type { Deps } from '../deps.ts'
import { Problem } from '../errors.ts'
import { endAll } from '../sessions/end.ts'
import { clearFailures, withDisabledPassword } from './backoff.ts'
import { normaliseEmail } from './email.ts'
import { checkNewPassword } from './password-policy.ts'
import {
  findByEmail,
  findById,
  insertUser,
  listAfter,
  lockById,
  type User,
  writeDisabledAt,
  writePasswordHash,
  writeRoles,
} from './queries.ts'

/** An account as operators see it: what it is, never what could be cracked. */
export interface Account extends Omit<User, 'passwordHash'> {
  hasPassword: boolean
  /** Too many failures in a row: the right password is refused too, until somebody enables the account again. */
  passwordDisabled: boolean
}

type AccountDeps = Pick<Deps, 'db' | 'clock'>

/**
 * Makes an account for somebody else. Without a password nobody can sign in with one.
 * @throws Problem invalid_email, invalid_request (roles), password_*, email_taken.
 */
export async function createUser(
  deps: AccountDeps & Pick<Deps, 'config' | 'hasher'>,
  input: { email: string; password: string | null; roles: string[] },
  facts: RequestFacts = NO_REQUEST,
): Promise<Account> {
  const email = normaliseEmail(input.email)
  const roles = checkRoles(input.roles)
  if (input.password !== null) checkNewPassword(deps.config, email, input.password)
  const passwordHash = input.password === null ? null : await deps.hasher.hash(input.password)
  const now = deps.clock()
  const user = await transact(deps.db, async (tx) => {
    const added = await insertUser(tx, { id: randomUUID(), email, passwordHash, roles, createdAt: now })
    if (added) await record(tx, now, 'operator', { type: 'user.created', outcome: 'success', userId: added.id }, facts)
    return added
  })
  if (!user) throw new Problem('email_taken')
  return toAccount(user, false)
}

/**
 * In order of creation.
 * @param page `after` is the id of the last account of the page before.
 */
export async function listUsers(db: Db, page: { after?: string | undefined; limit: number }): Promise<Account[]> {
  const users = await listAfter(db, page.after ?? null, page.limit)
  const disabled = await withDisabledPassword(
    db,
    users.map((user) => user.id),
  )
  return users.map((user) => toAccount(user, disabled.has(user.id)))
}

/**
 * By id or by e-mail address.
 * @throws Problem not_found, invalid_email.
 */
export async function findUser(db: Db, idOrEmail: string): Promise<Account> {
  const user = await find(db, idOrEmail)
  return toAccount(user, (await withDisabledPassword(db, [user.id])).has(user.id))
}

/**
 * Takes every session from a user and lets nobody start another.
 * @returns how many sessions ended.
 * @throws Problem not_found.
 */
export async function disableUser(
  deps: AccountDeps,
  idOrEmail: string,
  facts: RequestFacts = NO_REQUEST,
): Promise<number> {
  const now = deps.clock()
  return await withUser(deps, idOrEmail, async (tx, user) => {
    // First the user, then the sessions: a sign-in that waits for the user's row finds it disabled.
    if (!user.disabledAt) {
      await writeDisabledAt(tx, user.id, now)
      await record(tx, now, 'operator', { type: 'user.disabled', outcome: 'success', userId: user.id }, facts)
    }
    return await endAll(tx, now, { userId: user.id, cause: 'user_disabled', actor: 'operator', facts })
  })
}

/**
 * Lets a user sign in again: undoes a disable, the back-off, and the end of a password after too many failures.
 * @throws Problem not_found.
 */
export async function enableUser(
  deps: AccountDeps & Pick<Deps, 'serverKeys'>,
  idOrEmail: string,
  facts: RequestFacts = NO_REQUEST,
): Promise<void> {
  const now = deps.clock()
  await withUser(deps, idOrEmail, async (tx, user) => {
    const hadFailures = await clearFailures(tx, deps.serverKeys, user)
    if (user.disabledAt) await writeDisabledAt(tx, user.id, null)
    if (user.disabledAt || hadFailures) {
      await record(tx, now, 'operator', { type: 'user.enabled', outcome: 'success', userId: user.id }, facts)
    }
  })
}

/**
 * Gives an account another password, for somebody who has lost theirs. Whoever knew the old one, or was signed in with it,
 * is out: all sessions end. The failures that counted against the old one are forgotten.
 * @returns how many sessions ended.
 * @throws Problem not_found, password_*.
 */
export async function setPassword(
  deps: AccountDeps & Pick<Deps, 'config' | 'hasher' | 'serverKeys'>,
  idOrEmail: string,
  password: string,
  facts: RequestFacts = NO_REQUEST,
): Promise<number> {
  const { email } = await find(deps.db, idOrEmail)
  checkNewPassword(deps.config, email, password)
  const passwordHash = await deps.hasher.hash(password)
  const now = deps.clock()
  return await withUser(deps, idOrEmail, async (tx, user) => {
    await writePasswordHash(tx, user.id, passwordHash)
    await clearFailures(tx, deps.serverKeys, user)
    await record(tx, now, 'operator', { type: 'password.changed', outcome: 'success', userId: user.id }, facts)
    return await endAll(tx, now, { userId: user.id, cause: 'password_changed', actor: 'operator', facts })
  })
}

/**
 * Replaces a user's roles. Tokens that are out keep the old ones until their next refresh.
 * @param roles the new ones, or what makes them from the present ones while nobody else can change them.
 * @throws Problem not_found, invalid_request.
 */
export async function setRoles(
  deps: AccountDeps,
  idOrEmail: string,
  roles: string[] | ((before: string[]) => string[]),
  facts: RequestFacts = NO_REQUEST,
): Promise<{ before: string[]; after: string[] }> {
  const now = deps.clock()
  return await withUser(deps, idOrEmail, async (tx, user) => {
    const before = user.roles
    const after = checkRoles(typeof roles === 'function' ? roles(before) : roles)
    await writeRoles(tx, user.id, after)
    await record(
      tx,
      now,
      'operator',
      { type: 'user.roles_changed', outcome: 'success', userId: user.id, details: { before, after } },
      facts,
    )
    return { before, after }
  })
}

async function withUser<T>(
  deps: Pick<Deps, 'db'>,
  idOrEmail: string,
  work: (tx: Tx, user: User) => Promise<T>,
): Promise<T> {
  const { id } = await find(deps.db, idOrEmail)
  return await transact(deps.db, async (tx) => {
    const user = await lockById(tx, id)
    if (!user) throw new Problem('not_found', { detail: 'There is no such user.' })
    return await work(tx, user)
  })
}

async function find(db: Db, idOrEmail: string): Promise<User> {
  const user = UUID.test(idOrEmail) ? await findById(db, idOrEmail) : await findByEmail(db, normaliseEmail(idOrEmail))
  if (!user) throw new Problem('not_found', { detail: 'There is no such user.' })
  return user
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** What backends compare, and what fits a comma-separated option of the CLI. */
const ROLE = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/

function checkRoles(roles: string[]): string[] {
  if (roles.length > 50 || !roles.every((role) => ROLE.test(role))) {
    throw new Problem('invalid_request', {
      detail: 'A role has 1 to 64 letters, digits and . _ : / - ; a user has at most 50.',
    })
  }
  return [...new Set(roles)]
}

function toAccount({ passwordHash, ...user }: User, passwordDisabled: boolean): Account {
  return { ...user, hasPassword: passwordHash !== null, passwordDisabled }
}
