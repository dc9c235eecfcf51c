import { expect, test } from 'vitest'
import { type Freshness, hasHeard, judge, type Report } from '../../src/revocations/receipts/freshness.ts'
import { findStale, type Verifier } from '../../src/revocations/receipts/verifiers.ts'

const NOW = new Date('2030-01-01T12:00:00Z')
const ago = (seconds: number) => new Date(NOW.getTime() - seconds * 1000)
const feed = { epoch: 'present', seq: 40 }
const report = (facts: Partial<Report> = {}): Report => ({
  epoch: 'present',
  seq: 40,
  kids: [],
  reportedAt: ago(1),
  ...facts,
})

const cases: [what: string, report: Report, missedSince: Date | undefined, state: Freshness][] = [
  ['has everything', report(), undefined, 'current'],
  ['lacks what it may still lack', report({ seq: 39 }), ago(15), 'current'],
  ['lacks what it should have', report({ seq: 39 }), ago(15.001), 'behind'],
  ['reports on another epoch, whatever its number', report({ epoch: 'past', seq: 3 }), ago(100), 'other_epoch'],
  ['has more than there is', report({ seq: 41 }), undefined, 'ahead'],
  ['has three reports missing', report({ reportedAt: ago(15) }), undefined, 'current'],
  ['has not reported for longer', report({ reportedAt: ago(15.001) }), undefined, 'silent'],
  ['was ahead, and is silent', report({ seq: 41, reportedAt: ago(60) }), undefined, 'silent'],
  ['is silent for ten minutes', report({ reportedAt: ago(600) }), undefined, 'silent'],
  ['is silent for longer', report({ reportedAt: ago(600.001) }), ago(700), 'gone'],
  [
    'has a report from the future, by the clock of another replica',
    report({ reportedAt: ago(-1) }),
    undefined,
    'current',
  ],
]
test.each(cases)('an instance that %s', (_what, said, missedSince, state) => {
  expect(judge(said, feed, missedSince, NOW)).toBe(state)
})

test.each<[what: string, said: Report, entry: number | undefined, heard: boolean | undefined]>([
  ['has applied it', report({ seq: 7 }), 7, true],
  ['has applied later ones, however long ago it said so', report({ reportedAt: ago(80_000) }), 7, true],
  ['has not got so far', report({ seq: 6 }), 7, false],
  ['cannot have heard of what has no number yet', report(), undefined, false],
  ['counts in another epoch', report({ epoch: 'past', seq: 90 }), 7, undefined],
  ['claims what does not exist', report({ seq: 41 }), 7, undefined],
])('of an entry, an instance that %s', (_what, said, entry, heard) => {
  expect(hasHeard(said, feed, entry)).toBe(heard)
})

test('stale is whoever is not up to date, and a service of which nothing current is left', () => {
  const instance = (name: string, state: Freshness): Verifier => {
    const [client = ''] = name.split('/')
    return { ...report(), clientId: client, client, instance: name, missedSince: undefined, state }
  }
  const stale = findStale([
    instance('orders/new', 'current'),
    instance('orders/replaced', 'gone'),
    instance('orders/cut off', 'silent'),
    instance('stock/slow', 'behind'),
    instance('stock/stopped', 'gone'),
    instance('mail/liar', 'ahead'),
    instance('shop/restored', 'other_epoch'),
  ])
  expect(stale.map((each) => each.instance)).toEqual([
    'orders/cut off',
    'stock/slow',
    'stock/stopped',
    'mail/liar',
    'shop/restored',
  ])
  expect(findStale([])).toEqual([])
})
