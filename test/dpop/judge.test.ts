import { describe, expect, test } from 'vitest'
import { createDpopJudge } from '../../src/dpop/judge.ts'
import { createNonces } from '../../src/dpop/nonce.ts'
import { createReplays } from '../../src/dpop/replays.ts'
import type { ProofRequest } from '../../src/proven-key.ts'
import { createSeen } from '../../src/seen.ts'
import { testConfig } from '../http/support.ts'
import { createProofKey, type ProofInput } from '../support/dpop.ts'
import { testKeys } from './support.ts'

const WINDOW = 30_000
const key = createProofKey()

function start(env: Record<string, string> = {}, serverKeys = testKeys()) {
  const clock = { at: Date.parse('2026-05-01T12:00:05Z') }
  const judge = createDpopJudge({ config: testConfig(env), serverKeys, clock: () => new Date(clock.at) })
  const proof = (change: Partial<ProofInput> = {}) =>
    key.proof({ method: 'POST', url: 'https://auth.example.com/login', iat: clock.at / 1000, ...change })
  const request = (...proofs: string[]): ProofRequest => ({ proofs, method: 'POST', path: '/login' })
  const read = (change: Partial<ProofInput> = {}) => judge.read(request(proof(change)))
  const prove = async (text: string, { useUp = true } = {}) => {
    const found = judge.read(request(text))
    const proven = found && (await judge.prove(found, 'here'))
    if (found && useUp) await judge.useUp(found)
    return proven
  }
  return { clock, judge, proof, request, read, prove }
}

test('a request without a header has no proof, and one with two has none that counts', () => {
  const { judge, proof, request } = start()
  expect(judge.read(request())).toBeUndefined()
  expect(() => judge.read(request(proof(), proof()))).toThrow('proof shape')
  expect(() => judge.read(request(''))).toThrow('proof shape')
})

describe('a proof that was here before', () => {
  test('is refused, also when it comes twice at once', async () => {
    const { proof, prove } = start()
    const text = proof()
    const both = await Promise.allSettled([prove(text), prove(text)])
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    await expect(prove(text)).rejects.toMatchObject({ code: 'invalid_dpop_proof', reason: 'proof replayed' })
    await expect(prove(proof())).resolves.toMatchObject({ jkt: key.jkt })
  })

  test('is none as long as it was not used up', async () => {
    const { proof, prove } = start()
    const text = proof()
    for (let i = 0; i < 3; i++) expect(await prove(text, { useUp: false })).toMatchObject({ jkt: key.jkt })
  })

  test('is known by its key and its jti, whatever else it says', async () => {
    const { proof, prove, clock } = start()
    await prove(proof({ jti: 'same' }))
    clock.at += 1000
    await expect(prove(proof({ jti: 'same' }))).rejects.toThrow('proof replayed')
    const other = createProofKey().proof({
      method: 'POST',
      url: 'https://auth.example.com/login',
      iat: clock.at / 1000,
      jti: 'same',
    })
    await expect(prove(other)).resolves.toBeDefined()
  })

  test('is not used up by one with another signature', async () => {
    const { proof, prove } = start()
    const text = proof({ jti: 'mine' })
    const forged = text.slice(0, -86) + proof().slice(-86)
    await expect(prove(forged)).rejects.toThrow('proof signature')
    await expect(prove(text)).resolves.toBeDefined()
  })

  test('is remembered while so many others come, and the oldest are forgotten', () => {
    const replays = createReplays(createSeen(100))
    const isReplay = (n: number) => replays.isReplay({ jkt: key.jkt, jti: String(n) })
    for (let n = 0; n < 1000; n++) expect(isReplay(n)).toBe(false)
    for (let n = 900; n < 1000; n++) expect(isReplay(n)).toBe(true)
    expect(isReplay(700)).toBe(false)
  })

  test('is remembered for longer than it is good, and then forgotten, however few others come', () => {
    let elapsed = 0
    const replays = createReplays(createSeen(100, () => elapsed))
    const isReplay = (jti: string) => replays.isReplay({ jkt: key.jkt, jti })
    // In the last moment of the younger half.
    for (const at of [0, 299_999]) {
      elapsed = at
      expect(isReplay(`proof ${at}`)).toBe(false)
    }
    for (const at of [300_000, 360_000, 420_000]) {
      elapsed = at
      expect(isReplay(`other ${at}`)).toBe(false)
      expect(isReplay('proof 299999')).toBe(true)
    }
    for (const at of [600_000, 900_000]) {
      elapsed = at
      expect(isReplay(`other ${at}`)).toBe(false)
    }
    expect(isReplay('proof 299999')).toBe(false)
  })
})

describe('a nonce', () => {
  test('is not needed, but one that is sent has to be current', async () => {
    const { judge, read, proof, prove } = start()
    expect(read()).toMatchObject({ nonce: undefined })
    expect(await prove(proof())).toMatchObject({ fresh: false })
    expect(await prove(proof({ nonce: judge.nonce() }))).toMatchObject({ fresh: true })
    for (const nonce of ['', 'made up', judge.nonce().slice(1), `${judge.nonce()}A`])
      expect(() => read({ nonce })).toThrow(expect.objectContaining({ code: 'use_dpop_nonce', reason: 'nonce' }))
  })

  test('is needed where the setting says so', () => {
    const { judge, read } = start({ DPOP_NONCE: 'required' })
    expect(() => read()).toThrow(expect.objectContaining({ code: 'use_dpop_nonce', status: 400, reason: 'nonce' }))
    expect(read({ nonce: judge.nonce() })).toBeDefined()
  })

  test('is good for its window and the next, so that no proof is made further in advance', () => {
    const { clock, judge, read } = start()
    const nonce = judge.nonce()
    clock.at = Math.floor(clock.at / WINDOW) * WINDOW + 2 * WINDOW - 1
    expect(judge.nonce()).not.toBe(nonce)
    expect(read({ nonce })).toBeDefined()
    clock.at += 1
    expect(() => read({ nonce })).toThrow('nonce')
  })

  test('of a replica whose clock is a little ahead is good, and one of a later time is not', () => {
    const clock = { at: 10 * WINDOW }
    const ahead = createNonces(testKeys(), () => new Date(clock.at))
    const nonce = ahead.current()
    const behind = (ms: number) => createNonces(testKeys(), () => new Date(clock.at - ms)).judge(nonce)
    expect([behind(0), behind(1), behind(1000), behind(1001)]).toEqual([true, true, true, false])
  })

  test('is an HMAC under the server key: of every entry it is good, and the first makes it', () => {
    const clock = () => new Date(1e12)
    const [one, two, both] = [testKeys('one'), testKeys('two'), testKeys('two', 'one')].map((keys) =>
      createNonces(keys, clock),
    )
    expect(one?.current()).not.toBe(two?.current())
    expect(both?.current()).toBe(two?.current())
    expect(both?.judge(one?.current() ?? '')).toBe(true)
    expect(one?.judge(two?.current() ?? '')).toBe(false)
    expect(one?.current()).toMatch(/^[A-Za-z0-9_-]{22}$/)
  })

  test('is right when the clock is set back', () => {
    const clock = { at: 100 * WINDOW }
    const nonces = createNonces(testKeys(), () => new Date(clock.at))
    const first = nonces.current()
    for (const window of [101, 102, 103, 104, 105, 100]) {
      clock.at = window * WINDOW
      expect(nonces.judge(nonces.current())).toBe(true)
    }
    expect(nonces.current()).toBe(first)
  })
})
