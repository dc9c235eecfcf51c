import { expect, test } from 'vitest'
import { createHeld } from '../../sdk/verifier/src/revocations/held.ts'
import { createSieve } from '../../sdk/verifier/src/revocations/sieve.ts'

test('what has not expired is held when others are dropped, and so is what comes later', () => {
  const held = createHeld(30)
  const add = (kind: 'sid' | 'sub', value: string, expiresAt: number): void =>
    held.add({ kind, value, seq: 1, revokedAt: 100, expiresAt })
  const revoked = (): string[] =>
    ['short', 'long', 'later'].filter(
      (name) =>
        held.revokes({ sid: name, sub: 'somebody', iat: 50 }, 'key') && held.revokes({ sub: name, iat: 50 }, 'key'),
    )
  for (const kind of ['sid', 'sub'] as const) {
    add(kind, 'short', 200)
    add(kind, 'long', 300)
  }
  expect(revoked()).toEqual(['short', 'long'])
  held.drop(230)
  expect(revoked()).toEqual(['long'])
  for (const kind of ['sid', 'sub'] as const) add(kind, 'later', 400)
  expect(revoked()).toEqual(['long', 'later'])
  expect(held.size()).toBe(4)
})

test('a sieve has everything that was added, and little else', () => {
  const sieve = createSieve()
  const ids = Array.from({ length: 6000 }, () => crypto.randomUUID())
  for (const id of ['', 'a', ...ids]) sieve.add(id)
  expect(['', 'a', ...ids].filter((id) => !sieve.mayHold(id))).toEqual([])
  const others = Array.from({ length: 6000 }, () => crypto.randomUUID())
  // A mark in eleven is set.
  expect(others.filter(sieve.mayHold).length).toBeLessThan(900)
  sieve.clear()
  expect(ids.filter(sieve.mayHold)).toEqual([])
})
