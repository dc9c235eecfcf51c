import { expect, test } from 'vitest'
import { type Action, dueAt, type KeyFacts, keyPolicy, latestAt, plan } from '../../src/keys/lifecycle.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const T0 = new Date('2030-01-01T00:00:00Z')
const policy = keyPolicy({ KEY_ROTATION_DAYS: 90, WITHDRAWN_KEYS: ['stolen'] }, 'new')

const after = (ms: number): Date => new Date(T0.getTime() + ms)

function key(kid: string, state: KeyFacts['state'], facts: Partial<KeyFacts> = {}): KeyFacts {
  return {
    kid,
    state,
    createdAt: T0,
    activatedAt: state === 'next' ? null : T0,
    retiredAt: state === 'retiring' ? T0 : null,
    sealedBy: 'new',
    usable: true,
    ...facts,
  }
}

const cases: [name: string, keys: KeyFacts[], now: Date, expected: Action[]][] = [
  ['an empty database', [], T0, [{ type: 'create', state: 'active' }]],
  ['a fresh active key', [key('a', 'active')], T0, []],
  ['just before the next key is to be published', [key('a', 'active')], after(89 * DAY - 1), []],
  ['a day before the period ends', [key('a', 'active')], after(89 * DAY), [{ type: 'create', state: 'next' }]],
  [
    'long after, as when the server stood still',
    [key('a', 'active')],
    after(400 * DAY),
    [{ type: 'create', state: 'next' }],
  ],
  [
    'a next key that is not known for long enough',
    [key('a', 'active'), key('b', 'next', { createdAt: after(89 * DAY) })],
    after(90 * DAY - 1),
    [],
  ],
  [
    'an overdue active key does not hurry the next one',
    [key('a', 'active'), key('b', 'next', { createdAt: after(300 * DAY) })],
    after(300 * DAY + 23 * HOUR),
    [],
  ],
  [
    'a next key that is known for a day',
    [key('a', 'active'), key('b', 'next', { createdAt: after(89 * DAY) })],
    after(90 * DAY),
    [
      { type: 'retire', kid: 'a' },
      { type: 'activate', kid: 'b' },
    ],
  ],
  [
    'a next key that an operator made early',
    [key('a', 'active'), key('b', 'next', { createdAt: after(3 * DAY) })],
    after(4 * DAY),
    [
      { type: 'retire', kid: 'a' },
      { type: 'activate', kid: 'b' },
    ],
  ],
  ['a retiring key before its last token has expired', [key('a', 'active'), key('r', 'retiring')], after(DAY - 1), []],
  ['a retiring key after that', [key('a', 'active'), key('r', 'retiring')], after(DAY), [{ type: 'remove', kid: 'r' }]],
  ['no active key, but a next one', [key('b', 'next')], T0, [{ type: 'activate', kid: 'b' }]],
  ['no active key and none waiting', [key('r', 'retiring')], T0, [{ type: 'create', state: 'active' }]],
  [
    'keys sealed with an older secret',
    [key('a', 'active', { sealedBy: 'old' }), key('b', 'next'), key('r', 'retiring', { sealedBy: 'old' })],
    T0,
    [
      { type: 'reseal', kid: 'a' },
      { type: 'reseal', kid: 'r' },
    ],
  ],
  [
    'a key to be removed is not sealed again',
    [key('a', 'active'), key('r', 'retiring', { sealedBy: 'old' })],
    after(DAY),
    [{ type: 'remove', kid: 'r' }],
  ],
  ['an active key that this server cannot open', [key('a', 'active', { usable: false })], after(500 * DAY), []],
  ['a next key that it cannot open', [key('a', 'active'), key('b', 'next', { usable: false })], after(2 * DAY), []],
  [
    'a retiring key that it cannot open still goes',
    [key('a', 'active'), key('r', 'retiring', { usable: false, sealedBy: 'lost' })],
    after(DAY),
    [{ type: 'remove', kid: 'r' }],
  ],
  [
    'an active key that was withdrawn, brought back by a restore',
    [key('stolen', 'active')],
    T0,
    [
      { type: 'withdraw', kid: 'stolen' },
      { type: 'create', state: 'active' },
    ],
  ],
  [
    'one that was withdrawn, beside another that waits',
    [key('stolen', 'active'), key('b', 'next')],
    T0,
    [
      { type: 'withdraw', kid: 'stolen' },
      { type: 'activate', kid: 'b' },
    ],
  ],
  [
    'one that was withdrawn and that no secret opens',
    [key('a', 'active'), key('stolen', 'next', { usable: false })],
    T0,
    [{ type: 'withdraw', kid: 'stolen' }],
  ],
  [
    'one that was withdrawn, while the secret does not fit the active key',
    [key('a', 'active', { usable: false }), key('stolen', 'retiring')],
    T0,
    [{ type: 'withdraw', kid: 'stolen' }],
  ],
]

test.each(cases)('%s', (_name, keys, now, expected) => {
  expect(plan(keys, now, policy)).toEqual(expected)
})

test('a next key waits for those who do not hold it, one day at most', () => {
  const keys = [key('a', 'active'), key('b', 'next')]
  const rotation: Action[] = [
    { type: 'retire', kid: 'a' },
    { type: 'activate', kid: 'b' },
  ]
  expect(plan(keys, after(DAY), policy)).toEqual(rotation)
  expect(plan(keys, after(DAY), policy, 'b')).toEqual([])
  expect(plan(keys, after(2 * DAY - 1), policy, 'b')).toEqual([])
  expect(plan(keys, after(2 * DAY), policy, 'b')).toEqual(rotation)
  expect(latestAt({ createdAt: T0 }, policy)).toEqual(after(2 * DAY))
  expect(plan(keys, after(DAY), policy, 'another')).toEqual(rotation)
})

test('where no key signs, the next one waits for nobody', () => {
  expect(plan([key('b', 'next')], T0, policy, 'b')).toEqual([{ type: 'activate', kid: 'b' }])
})

test('the shortest period still publishes a key a day before it signs', () => {
  const daily = keyPolicy({ KEY_ROTATION_DAYS: 1, WITHDRAWN_KEYS: [] }, 'new')
  expect(plan([key('a', 'active')], T0, daily)).toEqual([{ type: 'create', state: 'next' }])
  expect(plan([key('a', 'active'), key('b', 'next')], after(DAY - 1), daily)).toEqual([])
})

test('a retiring key outlives the longest access token, the leeway and the cached key set', () => {
  expect(policy.retireAfter).toBeGreaterThanOrEqual((3600 + 60 + 300) * 1000)
  expect(policy.publishAhead).toBeGreaterThanOrEqual((300 + 600) * 1000)
})

test('says when a key moves on', () => {
  expect(dueAt(key('a', 'active'), policy)).toEqual(after(90 * DAY))
  expect(dueAt(key('b', 'next'), policy)).toEqual(after(DAY))
  expect(dueAt(key('r', 'retiring'), policy)).toEqual(after(DAY))
})
