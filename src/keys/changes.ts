import { record } from '../audit/audit.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Tx } from '../db/schema.ts'
import type { Operation } from '../operation.ts'
import type { Action, KeyFacts } from './lifecycle.ts'
import { type KeyMaterial, toDer } from './material.ts'
import * as queries from './queries.ts'
import { open, SealError, seal } from './sealing.ts'

/** The steps of a key's life, each with its audit event. The caller holds the lock of `queries.lockKeys`. */
export interface Changes {
  /** Stores a key, its private half sealed under the newest CLAVIGER_SECRET. */
  add(key: KeyMaterial, state: 'next' | 'active', origin: 'created' | 'imported'): Promise<void>
  activate(kid: string): Promise<void>
  retire(kid: string): Promise<void>
  remove(kid: string, options?: { compromised: boolean }): Promise<void>
  reseal(row: queries.KeyRow): Promise<void>
}

/** Tells verifiers, through what stands above this room, of a key that is withdrawn, in the transaction that withdraws it. */
export type RevokeKey = (tx: Tx, operation: Operation, kid: string) => Promise<void>

export function changesIn(
  tx: Tx,
  operation: Operation,
  { serverKeys, revokeKey }: { serverKeys: KeyList; revokeKey: RevokeKey },
): Changes {
  const { now } = operation
  type KeyEvent = 'created' | 'imported' | 'activated' | 'retired' | 'removed' | 'compromised' | 'resealed'
  const note = (event: KeyEvent, kid: string): Promise<void> =>
    record(tx, operation, { type: `key.${event}`, outcome: 'success', details: { kid } })

  return {
    add: async (key, state, origin) => {
      const der = toDer(key)
      const sealed = seal(key.kid, der, serverKeys[0])
      der.fill(0)
      await queries.insertKey(tx, now, { jwk: key.jwk, sealed, state, imported: origin === 'imported' })
      await note(origin, key.kid)
      if (state === 'active') await note('activated', key.kid)
    },
    activate: async (kid) => {
      await queries.setActive(tx, now, kid)
      await note('activated', kid)
    },
    retire: async (kid) => {
      await queries.setRetiring(tx, now, kid)
      await note('retired', kid)
    },
    remove: async (kid, { compromised } = { compromised: false }) => {
      if (compromised) await note('compromised', kid)
      await queries.setRemoved(tx, now, kid, compromised)
      if (compromised) await revokeKey(tx, operation, kid)
      await note('removed', kid)
    },
    reseal: async (row) => {
      const der = open(row.kid, sealedOf(row), serverKeys)
      await queries.setSealed(tx, row.kid, seal(row.kid, der, serverKeys[0]))
      der.fill(0)
      await note('resealed', row.kid)
    },
  }
}

/**
 * Carries out what `plan` found due.
 * @param spare a key made before locking; without it, `create` waits for the next run.
 */
export async function carryOut(
  actions: readonly Action[],
  rows: readonly queries.KeyRow[],
  changes: Changes,
  spare: KeyMaterial | undefined,
): Promise<void> {
  for (const action of actions) {
    if (action.type === 'create') {
      if (spare) await changes.add(spare, action.state, 'created')
    } else if (action.type === 'withdraw') {
      await changes.remove(action.kid, { compromised: true })
    } else if (action.type === 'reseal') {
      const row = rows.find(({ kid }) => kid === action.kid)
      if (row) await changes.reseal(row)
    } else {
      await changes[action.type](action.kid)
    }
  }
}

export function sealedOf(row: Pick<queries.KeyRow, 'sealed_private' | 'sealed_by'>) {
  return { sealed: row.sealed_private, sealedBy: row.sealed_by }
}

export function factsOf(row: queries.KeyRow, serverKeys: KeyList): KeyFacts {
  return {
    kid: row.kid,
    state: row.state,
    createdAt: row.created_at,
    activatedAt: row.activated_at,
    retiredAt: row.retired_at,
    sealedBy: row.sealed_by,
    usable: opens(row, serverKeys),
  }
}

function opens(row: queries.KeyRow, serverKeys: KeyList): boolean {
  try {
    open(row.kid, sealedOf(row), serverKeys).fill(0)
    return true
  } catch (error) {
    if (error instanceof SealError) return false
    throw error
  }
}
