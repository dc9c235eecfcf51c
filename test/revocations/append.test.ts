import { decodeJwt } from 'jose'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createBell } from '../../src/bell.ts'
import { transact } from '../../src/db/errors.ts'
import { rotateKeys } from '../../src/keys/operator.ts'
import { append } from '../../src/revocations/append.ts'
import { endEverybody } from '../../src/sessions/end.ts'
import { disableUser, setPassword } from '../../src/users/accounts.ts'
import { deleteUser } from '../../src/users/removal.ts'
import {
  bearer,
  family,
  granted,
  logout,
  post,
  refresh,
  register,
  signIn,
  startApp,
  stopClock,
} from '../sessions/support.ts'
import { TEST_PASSWORD } from '../support/app.ts'
import { forFile } from '../support/for-file.ts'
import { byOperator } from '../support/operation.ts'

const t = forFile(await startApp())
const travel = stopClock(t)

/** What was appended since the test began. */
async function appended() {
  return await t.db.selectFrom('revocations').select(['kind', 'sid', 'sub', 'kid', 'initiator']).execute()
}

/** Those of one moment have no order among themselves. */
async function expectAppended(...rows: Awaited<ReturnType<typeof appended>>): Promise<void> {
  const found = await appended()
  expect(found).toHaveLength(rows.length)
  expect(found).toEqual(expect.arrayContaining(rows))
}

const NOTHING = { sid: null, sub: null, kid: null }
type Initiator = Awaited<ReturnType<typeof appended>>[number]['initiator']
const session = (sub: string, sid: string, initiator: Initiator = 'user') =>
  ({ ...NOTHING, kind: 'session', sid, sub, initiator }) as const
const credential = (sub: string, initiator: Initiator = 'user') =>
  ({ ...NOTHING, kind: 'credential', sub, initiator }) as const
const subject = (sub: string) => ({ ...NOTHING, kind: 'subject', sub, initiator: 'admin' }) as const

beforeEach(async () => {
  travel(1)
  await t.db.deleteFrom('revocations').execute()
})

describe('verifiers are told of', () => {
  test('a logout, once, at the moment of the end', async () => {
    const user = await register(t)
    const { token, sid } = await signIn(t, user)
    await logout(t, 'body', token)
    await logout(t, 'body', token)
    await expectAppended(session(user.id, sid))
    const [row] = await t.db.selectFrom('revocations').selectAll().execute()
    expect(row).toMatchObject({ revoked_at: t.deps.clock(), seq: null, expires_at: null })
  })

  test('sessions that their user ends', async () => {
    const user = await register(t)
    const sessions = [await signIn(t, user), await signIn(t, user), await signIn(t, user)]
    const [kept, one, another] = sessions.map(({ sid }) => sid) as [string, string, string]
    const { accessToken } = sessions[0] as (typeof sessions)[0]
    await bearer(t, accessToken, `/sessions/${one}`, 'DELETE')
    await bearer(t, accessToken, `/sessions/${one}`, 'DELETE')
    await bearer(t, accessToken, '/sessions', 'DELETE')
    await bearer(t, accessToken, '/sessions?including_current=true', 'DELETE')
    await expectAppended(...[one, another, kept].map((sid) => session(user.id, sid)))
  })

  test('a session that a sign-in replaces', async () => {
    const user = await register(t)
    const { sid, token } = await signIn(t, user, 'cookie')
    await signIn(t, user, 'cookie', {}, { cookie: `__Host-refresh_token=${token}` })
    await expectAppended(session(user.id, sid))
  })

  test('a session that ends because its token was replayed', async () => {
    const user = await register(t)
    const { token, sid } = await signIn(t, user)
    granted(await refresh(t, 'body', granted(await refresh(t, 'body', token))))
    await refresh(t, 'body', token)
    await expectAppended(session(user.id, sid, 'policy'))
  })

  test('a password that its user changes, and the other sessions', async () => {
    const user = await register(t)
    const [here, elsewhere] = [await signIn(t, user), await signIn(t, user)]
    const body = { current_password: user.password, new_password: 'seven loud herons sing' }
    const headers = { authorization: `Bearer ${here.accessToken}` }
    expect((await post(t, '/password', { body, headers })).statusCode).toBe(204)
    await expectAppended(credential(user.id), session(user.id, elsewhere.sid))
  })

  test('a password that an operator sets, and every session', async () => {
    const user = await register(t)
    const { sid } = await signIn(t, user)
    await setPassword(t.deps, byOperator(t.deps), user.id, TEST_PASSWORD)
    await expectAppended(credential(user.id, 'admin'), session(user.id, sid, 'admin'))
  })

  test.each([
    ['disabled', (id: string) => disableUser(t.deps, byOperator(t.deps), id)],
    ['deleted', (id: string) => deleteUser(t.deps, byOperator(t.deps), id)],
  ])('an account that is %s, and its sessions', async (_how, end) => {
    const user = await register(t)
    const { sid } = await signIn(t, user)
    await end(user.id)
    await expectAppended(subject(user.id), session(user.id, sid, 'admin'))
  })

  test('a compromised key, but not of a planned rotation', async () => {
    await rotateKeys(t.deps, byOperator(t.deps), { compromised: false })
    await expectAppended()
    const rotation = await rotateKeys(t.deps, byOperator(t.deps), { compromised: true })
    if (rotation.outcome !== 'replaced') throw new Error(rotation.outcome)
    await expectAppended({ ...NOTHING, kind: 'key', kid: rotation.removed[0] ?? null, initiator: 'admin' })
    await t.keys.reload()
  })
})

describe('of all sessions that end together', () => {
  test('verifiers are told as of one thing, and besides of those that were used meanwhile', async () => {
    const user = await register(t)
    const [, retried, used] = [await signIn(t, user), await signIn(t, user), await signIn(t, user)] as const
    for (let again = 0; again < 2; again++) granted(await refresh(t, 'body', retried.token, { key: 'the-same-key' }))
    travel(60)
    const operation = byOperator(t.deps)
    travel(1)
    granted(await refresh(t, 'body', used.token))
    expect(await endEverybody(t.deps, operation, { cause: 'operator' })).toBeGreaterThanOrEqual(4)
    await expectAppended(
      { ...NOTHING, kind: 'all', initiator: 'admin' },
      ...[retried.sid, used.sid].map((sid) => session(user.id, sid, 'admin')),
    )
    const told = await t.db.selectFrom('revocations').select('revoked_at').where('kind', '=', 'all').execute()
    expect(told).toEqual([{ revoked_at: operation.now }])
  })

  test('verifiers are told of each, if those that began later go on', async () => {
    const user = await register(t)
    const earlier = [await signIn(t, user), await signIn(t, user)]
    const before = t.deps.clock()
    travel(60)
    await signIn(t, user)
    expect(await endEverybody(t.deps, byOperator(t.deps), { before, cause: 'operator' })).toBe(2)
    const told = await appended()
    expect(told.map(({ kind }) => kind)).toEqual(['session', 'session'])
    expect(new Set(told.map(({ sid }) => sid))).toEqual(new Set(earlier.map(({ sid }) => sid)))
  })
})

test('a sign-in whose password was being checked while everybody’s sessions ended has begun after that', async () => {
  const user = await register(t)
  const operation = byOperator(t.deps)
  const { verify } = t.deps.hasher
  vi.spyOn(t.deps.hasher, 'verify').mockImplementationOnce(async (...args) => {
    travel(1)
    operation.now = t.deps.clock()
    await endEverybody(t.deps, operation, { cause: 'operator' })
    travel(1)
    return await verify(...args)
  })
  const { sid, accessToken } = await signIn(t, user)
  vi.restoreAllMocks()
  expect((await bearer(t, accessToken)).statusCode).toBe(200)
  const { created_at, auth_time, rotated_at } = await family(t, sid)
  const { iat } = decodeJwt(accessToken)
  for (const at of [created_at, auth_time, rotated_at, new Date(Number(iat) * 1000)])
    expect(at.getTime()).toBeGreaterThan(operation.now.getTime())
})

test('the bell is rung once for a transaction, when it is committed, and nothing is left of one that is not', async () => {
  const revocationBell = createBell()
  let [rung, committed] = [0, false]
  revocationBell.answer(() => {
    expect(committed).toBe(true)
    rung++
  })
  const kids = ['first', 'second']
  const work = (end: () => void) =>
    transact(t.deps.db, async (tx) => {
      for (const kid of kids) await append(tx, { revocationBell }, byOperator(t.deps), [{ kind: 'key', kid }])
      end()
    })
  const failure = new Error('given up')
  await expect(
    work(() => {
      throw failure
    }),
  ).rejects.toBe(failure)
  expect([rung, await appended()]).toEqual([0, []])
  await work(() => {
    committed = true
  })
  expect([rung, (await appended()).map(({ kid }) => String(kid)).toSorted()]).toEqual([1, kids])
})
