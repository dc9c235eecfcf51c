import { createPrivateKey } from 'node:crypto'
import { inject } from 'vitest'
import { createBell } from '../../src/bell.ts'
import { transact } from '../../src/db/errors.ts'
import type { Deps } from '../../src/deps.ts'
import { changesIn } from '../../src/keys/changes.ts'
import { describeKey } from '../../src/keys/material.ts'
import { lockKeys } from '../../src/keys/queries.ts'
import { byServer } from '../../src/operation.ts'
import { keyRevoker } from '../../src/revocations/append.ts'

let given = 0

/** Gives an empty database a key, as a server would that makes one: of those of the run, because that takes as long as a test. */
export async function giveSigningKey(deps: Pick<Deps, 'db' | 'clock' | 'serverKeys'>): Promise<void> {
  const pems = inject('signingKeys')
  const key = await describeKey(createPrivateKey(pems[given++ % pems.length] as string))
  const revokeKey = keyRevoker({ revocationBell: createBell() })
  await transact(deps.db, async (tx) => {
    await lockKeys(tx)
    await changesIn(tx, byServer(deps.clock()), { ...deps, revokeKey }).add(key, 'active', 'created')
  })
}
