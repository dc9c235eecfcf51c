import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decide, type FamilyState, type Presented, type RotationPolicy } from '../../src/sessions/rotation.ts'

const hash = (name: string): Buffer => createHash('sha256').update(name).digest()
const at = (seconds: number): Date => new Date(Date.UTC(2026, 0, 1) + seconds * 1000)

/** Generation 4 was used at second 100 with the key "k", which made generation 5. */
const family: FamilyState = {
  clientId: 'web',
  delivery: 'cookie',
  generation: 5,
  currentHash: hash('5'),
  previousHash: hash('4'),
  rotatedAt: at(100),
  rotationKeyHash: hash('k'),
  expiresAt: at(10_000),
  idleSeconds: 1000,
  endedAt: null,
  userDisabledAt: null,
  dpopJkt: null,
}
const policy: RotationPolicy = { REFRESH_GRACE_SECONDS: 10, REFRESH_LATE_RETRY: 'revoke', REFRESH_ROLL_FORWARD: 'on' }
const present = (generation: number, more: Partial<Presented> = {}): Presented => ({
  generation,
  hash: hash(String(generation)),
  keyHash: null,
  delivery: 'cookie',
  clientId: null,
  proof: null,
  ...more,
})

const JKT = 'K'.repeat(43)
/** A proof of the key that bound families here are bound to. */
const own = { jkt: JKT, fresh: false }
const ownFresh = { jkt: JKT, fresh: true }
const otherKey = { jkt: 'M'.repeat(43), fresh: true }

interface Case {
  name: string
  presented: Presented
  family?: Partial<FamilyState>
  /** Of its arrival. */
  second?: number
  /** Of the first of its attempts, if it was told to come back. */
  first?: number
  /** When it is judged, if not at its arrival. */
  judged?: number
  /** Whether a newer one was here before it. */
  wasOld?: boolean
  policy?: Partial<RotationPolicy>
  verdict: object
}

const rotate = { kind: 'rotate' }
const retry = { kind: 'retry' }
const rollForward = { kind: 'roll_forward' }
const overtaken = { kind: 'overtaken' }
const refuse = (reason: string) => ({ kind: 'refuse', reason })
const reuse = (reason: string) => ({ kind: 'reuse', reason })

const cases: Case[] = [
  { name: 'the current token', presented: present(5), verdict: rotate },
  { name: 'the current token, with its client named', presented: present(5, { clientId: 'web' }), verdict: rotate },
  { name: 'the current token with a key', presented: present(5, { keyHash: hash('other') }), verdict: rotate },
  {
    name: 'the first token of a family',
    presented: present(0),
    family: {
      generation: 0,
      currentHash: hash('0'),
      previousHash: null,
      rotationKeyHash: null,
    },
    verdict: rotate,
  },

  { name: 'the previous token within the grace', presented: present(4), second: 105, verdict: retry },
  { name: 'the previous token at the last moment of the grace', presented: present(4), second: 110, verdict: retry },
  {
    name: 'the previous token within the grace, another key',
    presented: present(4, { keyHash: hash('other') }),
    second: 105,
    verdict: retry,
  },
  {
    name: 'the previous token, same key, long after the grace',
    presented: present(4, { keyHash: hash('k') }),
    second: 900,
    verdict: retry,
  },
  {
    name: 'the previous token, same key, no grace at all',
    presented: present(4, { keyHash: hash('k') }),
    second: 100,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: retry,
  },
  {
    name: 'the previous token, another key, no grace at all',
    presented: present(4, { keyHash: hash('other') }),
    second: 100,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: reuse('other_idempotency_key'),
  },
  {
    name: 'the previous token in the same millisecond, no grace, no keys',
    presented: present(4),
    family: { rotationKeyHash: null },
    second: 100,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: reuse('late_retry'),
  },
  {
    name: 'the previous token just after the grace',
    presented: present(4),
    family: { rotationKeyHash: null },
    second: 110.001,
    verdict: reuse('late_retry'),
  },
  {
    name: 'the previous token after the grace, a key only now',
    presented: present(4, { keyHash: hash('k') }),
    family: { rotationKeyHash: null },
    second: 111,
    verdict: reuse('other_idempotency_key'),
  },
  {
    name: 'the previous token after the grace, a key only then',
    presented: present(4),
    second: 111,
    verdict: reuse('other_idempotency_key'),
  },

  {
    name: 'recover: late, no keys',
    presented: present(4),
    family: { rotationKeyHash: null },
    second: 115,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: { kind: 'recover', secondsLate: 5 },
  },
  {
    name: 'recover: late, but a key on this request',
    presented: present(4, { keyHash: hash('x') }),
    family: { rotationKeyHash: null },
    second: 115,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: reuse('other_idempotency_key'),
  },
  {
    name: 'recover: late, but a key on the first request',
    presented: present(4),
    second: 115,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: reuse('other_idempotency_key'),
  },
  {
    name: 'recover: within the grace it is a retry',
    presented: present(4),
    family: { rotationKeyHash: null },
    second: 105,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: retry,
  },
  {
    name: 'after a recovery, the successor that was replaced',
    presented: present(4, { hash: hash('4-unused') }),
    family: { previousHash: hash('3') },
    second: 101,
    verdict: reuse('older_generation'),
  },
  {
    name: 'after a recovery, the token that was presented late',
    presented: present(3),
    family: { previousHash: hash('3') },
    second: 101,
    verdict: retry,
  },

  { name: 'an older token within the grace', presented: present(3), second: 101, verdict: reuse('older_generation') },
  {
    name: 'an older token with the key of the last rotation',
    presented: present(3, { keyHash: hash('k') }),
    second: 101,
    verdict: reuse('older_generation'),
  },
  {
    name: 'the one before the previous, which arrived before that was used',
    presented: present(3),
    second: 99,
    judged: 101,
    verdict: overtaken,
  },
  {
    name: 'a token that a recovery replaced after it had arrived',
    presented: present(4, { hash: hash('4, replaced') }),
    second: 99,
    judged: 101,
    verdict: overtaken,
  },
  {
    name: 'the one before the previous, which arrived in the millisecond when that was used',
    presented: present(3),
    second: 100,
    judged: 101,
    wasOld: false,
    verdict: overtaken,
  },
  {
    name: 'the same, judged at once',
    presented: present(3),
    second: 100,
    wasOld: false,
    verdict: overtaken,
  },
  {
    name: 'the one before the previous, which came back only after that was used',
    presented: present(3),
    second: 101,
    first: 99,
    verdict: reuse('older_generation'),
  },
  {
    name: 'the same where nothing is known of the family',
    presented: present(3),
    second: 100,
    judged: 101,
    verdict: reuse('older_generation'),
  },
  {
    name: 'one that was not old when it arrived, and is far behind by now',
    presented: present(1),
    second: 99,
    judged: 101,
    wasOld: false,
    verdict: overtaken,
  },
  {
    name: 'the same where nothing is known of the family, far behind',
    presented: present(2),
    second: 99,
    judged: 101,
    verdict: overtaken,
  },
  {
    name: 'one that was known to be old when it arrived',
    presented: present(3),
    second: 99,
    judged: 101,
    wasOld: true,
    verdict: reuse('older_generation'),
  },
  {
    name: 'a retry, though a newer token was here before it and was not used',
    presented: present(4),
    second: 105,
    wasOld: true,
    verdict: retry,
  },
  {
    name: 'one that was recovered, and whose successor was used after it had arrived',
    presented: present(2),
    second: 99,
    judged: 101,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: overtaken,
  },
  {
    name: 'overtaken where there is neither a grace nor a key',
    presented: present(3),
    second: 99,
    judged: 101,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: reuse('older_generation'),
  },
  {
    name: 'overtaken with a key and no grace',
    presented: present(3, { keyHash: hash('k') }),
    second: 99,
    judged: 101,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: overtaken,
  },
  {
    name: 'overtaken with neither a grace nor a key, recover',
    presented: present(3),
    second: 99,
    judged: 101,
    policy: { REFRESH_GRACE_SECONDS: 0, REFRESH_LATE_RETRY: 'recover' },
    verdict: overtaken,
  },
  { name: 'the very first token, much later', presented: present(0), second: 999, verdict: reuse('older_generation') },
  {
    name: 'another token of the previous generation (lost commits, then a fork)',
    presented: present(4, { hash: hash('4-fork') }),
    second: 101,
    verdict: reuse('older_generation'),
  },

  { name: 'a token ahead of the database', presented: present(9), verdict: rollForward },
  {
    name: 'a token ahead of the database, roll-forward off',
    presented: present(9),
    policy: { REFRESH_ROLL_FORWARD: 'off' },
    verdict: refuse('ahead_of_database'),
  },
  {
    name: 'another token of the current generation (lost commits, then a fork)',
    presented: present(5, { hash: hash('5-lost') }),
    verdict: rollForward,
  },

  { name: 'no such family', presented: present(5), family: undefined as never, verdict: refuse('unknown_family') },
  { name: 'an ended family', presented: present(5), family: { endedAt: at(50) }, verdict: refuse('ended') },
  {
    name: 'an older token of an ended family',
    presented: present(1),
    family: { endedAt: at(50) },
    verdict: refuse('ended'),
  },
  {
    name: 'a token ahead, of an ended family',
    presented: present(9),
    family: { endedAt: at(50) },
    verdict: refuse('ended'),
  },
  { name: 'the last moment of the idle time', presented: present(5), second: 1099.999, verdict: rotate },
  { name: 'idle too long', presented: present(5), second: 1100, verdict: refuse('expired') },
  {
    name: 'past the absolute end, though just used',
    presented: present(5),
    family: { rotatedAt: at(9999) },
    second: 10_000,
    verdict: refuse('expired'),
  },
  {
    name: 'the same key, but idle too long',
    presented: present(4, { keyHash: hash('k') }),
    second: 1100,
    verdict: refuse('expired'),
  },
  {
    name: 'a retry that arrived in time and had to wait in here',
    presented: present(4),
    second: 110,
    judged: 170,
    verdict: retry,
  },
  {
    name: 'a retry that arrived before the rotation was made',
    presented: present(4),
    second: 99,
    judged: 170,
    verdict: retry,
  },
  {
    name: 'a retry whose first attempt was in time',
    presented: present(4),
    first: 110,
    second: 170,
    verdict: retry,
  },
  {
    name: 'idle too long, whenever it was first tried',
    presented: present(5),
    first: 1000,
    second: 1100,
    verdict: refuse('expired'),
  },
  { name: 'idle too long only since it arrived', presented: present(5), second: 1099, judged: 1110, verdict: rotate },
  {
    name: 'past the absolute end since it arrived',
    presented: present(5),
    family: { rotatedAt: at(9990) },
    second: 9999,
    judged: 10_000,
    verdict: refuse('expired'),
  },
  {
    name: 'the user is disabled',
    presented: present(5),
    family: { userDisabledAt: at(1) },
    verdict: refuse('user_disabled'),
  },
  { name: 'the wrong delivery', presented: present(5, { delivery: 'body' }), verdict: refuse('wrong_delivery') },
  {
    name: 'the wrong delivery and an older token',
    presented: present(1, { delivery: 'body' }),
    verdict: refuse('wrong_delivery'),
  },
  { name: 'another client', presented: present(5, { clientId: 'native' }), verdict: refuse('wrong_client') },

  { name: 'unbound: a proof of some key', presented: present(5, { proof: otherKey }), verdict: rotate },
  {
    name: 'unbound: late without keys, though the proof is fresh',
    presented: present(4, { proof: ownFresh }),
    family: { rotationKeyHash: null },
    second: 111,
    verdict: reuse('late_retry'),
  },
]

/** The same family, bound. */
const boundCases: Case[] = [
  { name: 'the current token with its key', presented: present(5, { proof: own }), verdict: rotate },
  { name: 'the current token alone', presented: present(5), verdict: refuse('no_proof') },
  {
    name: 'the current token with another key',
    presented: present(5, { proof: otherKey }),
    verdict: refuse('other_key'),
  },
  { name: 'the previous token alone, in the grace', presented: present(4), second: 105, verdict: refuse('no_proof') },
  {
    name: 'the previous token alone, with the Idempotency-Key of its rotation',
    presented: present(4, { keyHash: hash('k') }),
    verdict: refuse('no_proof'),
  },
  {
    name: 'the previous token with its key, in the grace',
    presented: present(4, { proof: own }),
    second: 105,
    verdict: retry,
  },
  { name: 'an older token alone', presented: present(2), verdict: refuse('no_proof') },
  { name: 'an older token with another key', presented: present(2, { proof: otherKey }), verdict: refuse('other_key') },
  {
    name: 'an older token with its key',
    presented: present(2, { proof: ownFresh }),
    verdict: reuse('older_generation'),
  },
  { name: 'a token ahead of the database alone', presented: present(9), verdict: refuse('no_proof') },
  { name: 'a token ahead of the database with its key', presented: present(9, { proof: own }), verdict: rollForward },
  {
    name: 'a token ahead of the database alone, roll-forward off',
    presented: present(9),
    policy: { REFRESH_ROLL_FORWARD: 'off' },
    verdict: refuse('no_proof'),
  },
  {
    name: 'late without Idempotency-Keys, the proof fresh',
    presented: present(4, { proof: ownFresh }),
    family: { rotationKeyHash: null },
    second: 900,
    verdict: retry,
  },
  {
    name: 'late without Idempotency-Keys, no grace at all, the proof fresh',
    presented: present(4, { proof: ownFresh }),
    family: { rotationKeyHash: null },
    second: 100,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: retry,
  },
  {
    name: 'overtaken, no grace at all, the proof fresh',
    presented: present(3, { proof: ownFresh }),
    second: 99,
    judged: 101,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: overtaken,
  },
  {
    name: 'overtaken, no grace at all, the proof made at any time',
    presented: present(3, { proof: own }),
    second: 99,
    judged: 101,
    policy: { REFRESH_GRACE_SECONDS: 0 },
    verdict: reuse('older_generation'),
  },
  {
    name: 'late without Idempotency-Keys, the proof made at any time',
    presented: present(4, { proof: own }),
    family: { rotationKeyHash: null },
    second: 111,
    verdict: reuse('late_retry'),
  },
  {
    name: 'late without Idempotency-Keys, a fresh proof of another key',
    presented: present(4, { proof: otherKey }),
    family: { rotationKeyHash: null },
    second: 111,
    verdict: refuse('other_key'),
  },
  {
    name: 'recover: late without Idempotency-Keys, the proof fresh',
    presented: present(4, { proof: ownFresh }),
    family: { rotationKeyHash: null },
    second: 115,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: retry,
  },
  {
    name: 'recover: late without Idempotency-Keys, the proof made at any time',
    presented: present(4, { proof: own }),
    family: { rotationKeyHash: null },
    second: 115,
    policy: { REFRESH_LATE_RETRY: 'recover' },
    verdict: { kind: 'recover', secondsLate: 5 },
  },
  {
    name: 'late with another Idempotency-Key, though the proof is fresh',
    presented: present(4, { keyHash: hash('other'), proof: ownFresh }),
    second: 111,
    verdict: reuse('other_idempotency_key'),
  },
  {
    name: 'late with an Idempotency-Key only then, though the proof is fresh',
    presented: present(4, { proof: ownFresh }),
    second: 111,
    verdict: reuse('other_idempotency_key'),
  },
  { name: 'an ended family, no proof', presented: present(5), family: { endedAt: at(50) }, verdict: refuse('ended') },
  { name: 'idle too long, no proof', presented: present(5), second: 1100, verdict: refuse('expired') },
  {
    name: 'the user is disabled, no proof',
    presented: present(5),
    family: { userDisabledAt: at(1) },
    verdict: refuse('user_disabled'),
  },
  {
    name: 'the wrong delivery, no proof',
    presented: present(5, { delivery: 'body' }),
    verdict: refuse('wrong_delivery'),
  },
  { name: 'another client, no proof', presented: present(5, { clientId: 'native' }), verdict: refuse('wrong_client') },
]

function expectVerdict(c: Case, state: FamilyState | undefined): void {
  const second = c.second ?? 101
  const { wasOld } = c
  const moment = { arrivedAt: at(second), since: at(c.first ?? second), now: at(c.judged ?? second), wasOld }
  expect(decide(c.presented, state, moment, { ...policy, ...c.policy })).toEqual(c.verdict)
}

describe('verdict on a presented token', () => {
  test.each(cases)('$name', (c) => {
    expectVerdict(c, 'family' in c && c.family === undefined ? undefined : { ...family, ...c.family })
  })

  // With its key, a bound family is judged as if it were not bound.
  test.each(cases.filter(({ presented: { proof } }) => proof === null))(
    'bound, with the proof of its key: $name',
    (c) => {
      const state = 'family' in c && c.family === undefined ? undefined : { ...family, ...c.family, dpopJkt: JKT }
      expectVerdict({ ...c, presented: { ...c.presented, proof: own } }, state)
    },
  )

  test.each(boundCases)('bound: $name', (c) => expectVerdict(c, { ...family, ...c.family, dpopJkt: JKT }))
})
