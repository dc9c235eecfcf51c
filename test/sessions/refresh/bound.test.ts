import { randomUUID } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { describe, expect, test } from 'vitest'
import { Problem } from '../../../src/errors.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'
import { forFile } from '../../support/for-file.ts'
import { claimsOf } from '../../support/jwt.ts'
import { type KeyHolder, keyHolder } from '../key-holder.ts'
import {
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  nowhere,
  refresh,
  register,
  restore,
  type SignedIn,
  signIn,
  startApp,
  trail,
} from '../support.ts'

// Families that are bound to a key (RFC 9449 §5): a thief of the token who has not the key gets nothing and ends nothing.

const t = forFile(await startApp())
const user = await register(t)
const owner = keyHolder(t)
const thief = keyHolder(t)
const DAY = 24 * 3600

type Via = SignedIn['delivery']

const signInBound = (via: Via = 'body', app = t, holder = owner, someone = user): Promise<SignedIn> =>
  signIn(app, someone, via, {}, holder.proof('/login'))
const refreshBy = (holder: KeyHolder, via: Via, token: string, key?: string): Promise<LightMyRequestResponse> =>
  refresh(t, via, token, { headers: holder.proof('/refresh'), ...(key === undefined ? {} : { key }) })
const refreshFreshly = (holder: KeyHolder, token: string, key?: string): Promise<LightMyRequestResponse> =>
  refresh(t, 'body', token, { headers: holder.freshProof('/refresh'), ...(key === undefined ? {} : { key }) })

/** The refusal for want of the key. It leaves the cookie alone, as every refusal does. */
function expectUnproved(answer: LightMyRequestResponse): void {
  expect([answer.statusCode, answer.json().code]).toEqual([400, 'invalid_dpop_proof'])
  expect(answer.headers['set-cookie']).toBeUndefined()
}

/** Counts what `work` asks the database. */
async function queries(
  app: TestApp,
  work: () => Promise<unknown>,
): Promise<Record<'db' | 'refreshDb' | 'rotationDb', number>> {
  const { db, refreshDb, rotationDb } = app.deps
  const count = { db: 0, refreshDb: 0, rotationDb: 0 }
  for (const name of ['db', 'refreshDb', 'rotationDb'] as const) {
    app.deps[name] = app.deps[name].withPlugin({
      transformQuery: ({ node }) => {
        count[name]++
        return node
      },
      transformResult: async ({ result }) => result,
    })
  }
  try {
    await work()
  } finally {
    Object.assign(app.deps, { db, refreshDb, rotationDb })
  }
  return count
}

describe.each(['body', 'cookie'] as const)('a session that begins with a proof, its token in the %s', (via) => {
  test('is bound to the key, and says so in its replies and access tokens, at every refresh', async () => {
    const { token, accessToken, sid, answer } = await signInBound(via)
    expect(answer.json().token_type).toBe('DPoP')
    expect(claimsOf(accessToken)).toMatchObject({ cnf: { jkt: owner.key.jkt } })
    expect(await family(t, sid)).toMatchObject({ dpop_jkt: owner.key.jkt })
    const refreshed = await refreshBy(owner, via, token)
    expect(refreshed.json().token_type).toBe('DPoP')
    expect(claimsOf(refreshed.json().access_token)).toMatchObject({ cnf: { jkt: owner.key.jkt } })
    expect(await family(t, sid)).toMatchObject({ dpop_jkt: owner.key.jkt, generation: 1 })
  })

  test.each([
    ['without the key', 'no_proof', undefined],
    ['with another key', 'other_key', thief],
  ] as const)(
    'a stolen token %s gets 400, rotates nothing and ends nothing, and the owner goes on',
    async (_name, reason, holder) => {
      const { token, sid } = await signInBound(via)
      const current = granted(await refreshBy(owner, via, token))
      const before = await family(t, sid)
      expectUnproved(holder ? await refreshBy(holder, via, current) : await refresh(t, via, current))
      expect(await family(t, sid)).toEqual(before)
      const [event, ...others] = await trail(t, sid)
      expect(others).toEqual([])
      expect(event).toMatchObject({
        type: 'refresh.dpop_refused',
        outcome: 'failure',
        reason,
        user_id: user.id,
        client_id: via === 'body' ? 'native' : 'web',
      })
      granted(await refreshBy(owner, via, current))
    },
  )

  test.each([
    ['without the key', undefined],
    ['with another key', thief],
  ] as const)('tokens of older generations %s end nothing either, at any age', async (_name, holder) => {
    const { token, sid } = await signInBound(via)
    const second = granted(await refreshBy(owner, via, token))
    const third = granted(await refreshBy(owner, via, second))
    t.travel(11 * 3600)
    for (const old of [token, second])
      expectUnproved(holder ? await refreshBy(holder, via, old) : await refresh(t, via, old, { key: 'any-key' }))
    expect(await isLive(t, sid)).toBe(true)
    expect(new Set(await eventsOf(t, sid))).toEqual(
      new Set([`refresh.dpop_refused ${holder ? 'other_key' : 'no_proof'}`]),
    )
    granted(await refreshBy(owner, via, third))
  })

  test('a replaced token with the key is reuse as ever', async () => {
    const { token, sid } = await signInBound(via)
    granted(await refreshBy(owner, via, granted(await refreshBy(owner, via, token))))
    expectRefused(await refreshBy(owner, via, token))
    expect(await eventsOf(t, sid)).toEqual(['refresh.reuse_detected older_generation', 'session.ended reuse_detected'])
  })

  test('two tabs that share the key race, and go on with one successor', async () => {
    const { token, sid } = await signInBound(via)
    const successors = (await atOnce(6, () => refreshBy(owner, via, token))).map(granted)
    expect(new Set(successors).size).toBe(1)
    expect(await family(t, sid)).toMatchObject({ generation: 1, ended_at: null })
    granted(await refreshBy(owner, via, successors[0] ?? ''))
  })
})

describe('a retry of the owner', () => {
  test('within the grace is a retry, by any proof of the key', async () => {
    const { token } = await signInBound()
    const successor = granted(await refreshBy(owner, 'body', token))
    expect(granted(await refreshBy(owner, 'body', token))).toBe(successor)
    expect(granted(await refreshBy(owner, 'body', successor))).not.toBe(successor)
  })

  test('with its Idempotency-Key is one at any time', async () => {
    const { token } = await signInBound()
    const attempt = randomUUID()
    const successor = granted(await refreshBy(owner, 'body', token, attempt))
    t.travel(3 * DAY)
    expect(granted(await refreshBy(owner, 'body', token, attempt))).toBe(successor)
  })

  test('too late and without an Idempotency-Key is one with a current nonce', async () => {
    const { token, sid } = await signInBound()
    const successor = granted(await refreshBy(owner, 'body', token))
    t.travel(DAY)
    const answer = await refreshFreshly(owner, token)
    expect(granted(answer)).toBe(successor)
    expect(answer.json().token_type).toBe('DPoP')
    expect(await eventsOf(t, sid)).toEqual([])
    granted(await refreshBy(owner, 'body', successor))
  })

  test('too late, without an Idempotency-Key and without a nonce is a theft: the proof may have been made in advance', async () => {
    const { token, sid } = await signInBound()
    granted(await refreshBy(owner, 'body', token))
    t.travel(11)
    expectRefused(await refreshBy(owner, 'body', token))
    expect(await eventsOf(t, sid)).toEqual(['refresh.reuse_detected late_retry', 'session.ended reuse_detected'])
  })

  test('too late with a current nonce and another Idempotency-Key is a theft', async () => {
    const { token, sid } = await signInBound()
    granted(await refreshBy(owner, 'body', token, 'first-attempt'))
    t.travel(11)
    expectRefused(await refreshFreshly(owner, token, 'other-attempt'))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('too late with a nonce that is over is told the current one, and nothing happens', async () => {
    const { token, sid } = await signInBound()
    granted(await refreshBy(owner, 'body', token))
    const old = t.deps.dpop.nonce()
    t.travel(DAY)
    const before = await family(t, sid)
    const answer = await refresh(t, 'body', token, { headers: owner.proof('/refresh', { nonce: old }) })
    expect([answer.statusCode, answer.json().code]).toEqual([400, 'use_dpop_nonce'])
    expect(await family(t, sid)).toEqual(before)
    const nonce = String(answer.headers['dpop-nonce'])
    granted(await refresh(t, 'body', token, { headers: owner.proof('/refresh', { nonce }) }))
  })

  test('in a session that is not bound stays a theft when it is late, whatever it proves', async () => {
    const { token, sid } = await signIn(t, user)
    granted(await refresh(t, 'body', token))
    t.travel(11)
    expectRefused(await refreshFreshly(owner, token))
    expect(await isLive(t, sid)).toBe(false)
  })
})

test('a failover that lost commits: the owner goes on from a token that the database has forgotten, the thief does not', async () => {
  const { token, sid } = await signInBound()
  const row = await family(t, sid)
  const ahead = granted(await refreshBy(owner, 'body', granted(await refreshBy(owner, 'body', token))))
  await restore(t, row)
  expectUnproved(await refresh(t, 'body', ahead))
  expectUnproved(await refreshBy(thief, 'body', ahead))
  expect(await family(t, sid)).toEqual(row)
  granted(await refreshBy(owner, 'body', ahead))
  expect(await eventsOf(t, sid)).toContain('refresh.rolled_forward')
})

test('a refresh by the key is one statement, as without', async () => {
  const bound = await signInBound()
  const plain = await signIn(t, user)
  const one = { db: 0, refreshDb: 0, rotationDb: 0 }
  // The statement is written by hand, so plugins see its answer alone.
  let rotations = 0
  const { rotationDb } = t.deps
  const counting = rotationDb.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      rotations++
      return result
    },
  })
  const seen = await queries(t, async () => {
    t.deps.rotationDb = counting
    granted(await refreshBy(owner, 'body', bound.token))
    granted(await refresh(t, 'body', plain.token))
  })
  expect([seen, rotations]).toEqual([one, 2])
})

describe('a proof that is not good', () => {
  const other = 'https://elsewhere.example/refresh'
  test.each<[string, () => Record<string, string>, string]>([
    ['for another endpoint', () => owner.proof('/login'), 'invalid_dpop_proof'],
    ['for another server', () => owner.proof('/refresh', { url: other }), 'invalid_dpop_proof'],
    ['for another method', () => owner.proof('/refresh', { method: 'GET' }), 'invalid_dpop_proof'],
    ['too old', () => owner.proof('/refresh', { iat: t.deps.clock().getTime() / 1000 - 120 }), 'invalid_dpop_proof'],
    ['signed by another key', () => forged(), 'invalid_dpop_proof'],
    ['with a nonce that is none of ours', () => owner.proof('/refresh', { nonce: 'made-up' }), 'use_dpop_nonce'],
  ])('%s is refused before the token is looked at, without a query, bound or not', async (_name, headers, code) => {
    const bound = await signInBound()
    const plain = await signIn(t, user)
    const { db, refreshDb, rotationDb } = t.deps
    const dead = nowhere()
    Object.assign(t.deps, { db: dead, refreshDb: dead, rotationDb: dead })
    try {
      for (const token of [bound.token, plain.token, 'rt1_garbage']) {
        const answer = await refresh(t, 'body', token, { headers: headers() })
        expect([answer.statusCode, answer.json().code, answer.headers['dpop-nonce']]).toEqual([
          400,
          code,
          expect.any(String),
        ])
      }
    } finally {
      Object.assign(t.deps, { db, refreshDb, rotationDb })
      await dead.destroy()
    }
    for (const { sid } of [bound, plain]) expect(await eventsOf(t, sid)).toEqual([])
    granted(await refreshBy(owner, 'body', bound.token))
    granted(await refresh(t, 'body', plain.token))
  })

  function forged() {
    const [head, body] = owner.proof('/refresh').dpop.split('.')
    const [, , signature] = thief.proof('/refresh').dpop.split('.')
    return { dpop: [head, body, signature].join('.') }
  }
})

test('a good proof changes nothing for a session that is not bound', async () => {
  const { token, sid } = await signIn(t, user)
  const answer = await refreshBy(owner, 'body', token)
  expect(answer.json()).toMatchObject({ token_type: 'Bearer' })
  expect(claimsOf(answer.json().access_token)).not.toHaveProperty('cnf')
  expect(await family(t, sid)).toMatchObject({ dpop_jkt: null, generation: 1 })
  granted(await refreshBy(thief, 'body', granted(answer)))
})

test('a proof that is sent again with its request is judged as the refresh that it comes with', async () => {
  const { token, sid } = await signInBound()
  const headers = owner.proof('/refresh')
  const successor = granted(await refresh(t, 'body', token, { headers }))
  expect(granted(await refresh(t, 'body', token, { headers }))).toBe(successor)
  granted(await refreshBy(owner, 'body', successor))
  expectRefused(await refresh(t, 'body', token, { headers }))
  expect(await isLive(t, sid)).toBe(false)
})

test('a session that is over is 401 with or without its key: nobody learns by it whether it was bound', async () => {
  const { token } = await signInBound()
  await logout(t, 'body', token)
  for (const answer of [
    await refresh(t, 'body', token),
    await refreshBy(thief, 'body', token),
    await refreshBy(owner, 'body', token),
  ])
    expectRefused(answer)
})

test('signing out needs no key', async () => {
  for (const via of ['body', 'cookie'] as const) {
    const { token, sid } = await signInBound(via)
    await logout(t, via, token)
    expect(await isLive(t, sid)).toBe(false)
  }
})

test('replicas judge alike: what one has bound another asks the key for', async () => {
  await using replica = await createTestApp({ join: t })
  const { token } = await signInBound()
  expectUnproved(await refresh(replica, 'body', token))
  granted(await refresh(replica, 'body', token, { headers: owner.freshProof('/refresh') }))
})

test('an attempt that waited for the signature to be verified is owed the time', async () => {
  const { token } = await signInBound()
  const successor = granted(await refreshBy(owner, 'body', token))
  const { dpop } = t.deps
  const full = new Problem('unavailable', { reason: 'too many wait for their turn', retryAfter: 1 })
  t.deps.dpop = { ...dpop, prove: () => Promise.reject(full) }
  t.travel(5)
  try {
    expect((await refreshBy(owner, 'body', token)).statusCode).toBe(503)
  } finally {
    t.deps.dpop = dpop
  }
  t.travel(6)
  expect(granted(await refreshBy(owner, 'body', token))).toBe(successor)
})

test('many refusals of one session are few events, and each is counted', async () => {
  const { token, sid } = await signInBound()
  const counted = async () =>
    (await t.deps.metrics.refreshes.get()).values.find(({ labels }) => labels.outcome === 'invalid_dpop_proof')
      ?.value ?? 0
  const before = await counted()
  for (let i = 0; i < 20; i++) expectUnproved(await refresh(t, 'body', token))
  expect(await counted()).toBe(before + 20)
  expect((await trail(t, sid)).length).toBeLessThan(5)
})
