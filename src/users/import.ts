import { record } from '../audit/audit.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { clearFailuresOf } from '../credentials/attempts.ts'
import { keptForSomebody } from '../credentials/codes/ways-back.ts'
import { transact, violatedConstraint } from '../db/errors.ts'
import type { Db, Tx } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Operation } from '../operation.ts'
import { type Rules, readUser } from './import-line.ts'
import { findTaken, type ImportedUser, insertImported } from './import-queries.ts'
import { roomNow } from './rights.ts'

export interface ImportOutcome {
  /** Accounts that were made, or would be. None if there is a fault. */
  accounts: number
  /** Lines that were passed over because their address or id has an account, or the address is kept for one. */
  skipped: number
  faults: { line: number; fault: string }[]
}

interface Numbered {
  line: number
  user: ImportedUser
}

const BATCH = 500

/**
 * Makes the accounts of an export, with the hashes of the system that it comes from: all of them or, if a line is at
 * fault, none.
 * @param lines JSON objects; empty ones are passed over.
 * @throws Problem email_taken if an account appeared while the import ran.
 */
export async function importUsers(
  deps: { db: Db; config: Config; serverKeys: KeyList },
  operation: Operation,
  lines: readonly string[],
  { dryRun, skipExisting }: { dryRun: boolean; skipExisting: boolean },
): Promise<ImportOutcome> {
  const { users, faults: read } = readAll({ config: deps.config, room: await roomNow(deps), now: operation.now }, lines)
  const work = async (tx: Tx): Promise<ImportOutcome> => {
    const taken = await findAllTaken(tx, operation.now, users)
    const found = skipExisting ? [] : [...taken].map(({ line }) => ({ line, fault: TAKEN }))
    const faults = [...read, ...found].toSorted((a, b) => a.line - b.line)
    const skipped = skipExisting ? taken.size : 0
    if (faults.length > 0) return { accounts: 0, skipped: 0, faults }
    const wanted = users.filter((user) => !taken.has(user)).map(({ user }) => user)
    if (!dryRun && wanted.length > 0) await insertAll(tx, deps.serverKeys, operation, wanted)
    return { accounts: wanted.length, skipped, faults }
  }
  try {
    return await transact(deps.db, work)
  } catch (error) {
    if (!/^users_(email_key|pkey)$/.test(violatedConstraint(error) ?? '')) throw error
    throw new Problem('email_taken', { detail: 'It was made while the import ran. Nothing was imported.' })
  }
}

const TAKEN = 'The address or the id has an account, or the address is kept for one that may take it back'

function readAll(rules: Rules, lines: readonly string[]) {
  const users: Numbered[] = []
  const faults: ImportOutcome['faults'] = []
  /** By address and by id. */
  const seen = new Map<string, number>()
  for (const [index, text] of lines.entries()) {
    if (text.trim() === '') continue
    const line = index + 1
    const read = readUser(rules, text)
    if ('fault' in read) {
      faults.push({ line, fault: read.fault })
      continue
    }
    const first = seen.get(read.email) ?? seen.get(read.id)
    if (first === undefined) users.push({ line, user: read })
    else faults.push({ line, fault: `The address or the id is that of line ${first}` })
    for (const key of [read.email, read.id]) if (!seen.has(key)) seen.set(key, line)
  }
  return { users, faults }
}

async function findAllTaken(tx: Tx, now: Date, users: readonly Numbered[]): Promise<Set<Numbered>> {
  const found = new Set<Numbered>()
  for (const batch of batches(users)) {
    const taken = await findTaken(
      tx,
      batch.map(({ user }) => user),
    )
    const emails = batch.map(({ user }) => user.email)
    for (const email of await keptForSomebody(tx, now, emails)) taken.add(email)
    for (const each of batch) if (taken.has(each.user.email) || taken.has(each.user.id)) found.add(each)
  }
  return found
}

/** Strangers may have failed to sign in with the addresses before, which must not lock out their owners. */
async function insertAll(
  tx: Tx,
  serverKeys: KeyList,
  operation: Operation,
  users: readonly ImportedUser[],
): Promise<void> {
  for (const batch of batches(users)) {
    await insertImported(tx, batch)
    await clearFailuresOf(
      tx,
      serverKeys,
      batch.map(({ email }) => email),
    )
  }
  await record(tx, operation, { type: 'user.imported', outcome: 'success', details: { accounts: users.length } })
}

function* batches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += BATCH) yield all.slice(at, at + BATCH)
}
