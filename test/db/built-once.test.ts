import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { builtOnce } from '../../src/db/built-once.ts'
import { createTestApp } from '../support/app.ts'

test('each time it is sent with the values of that time, and a value among the text is refused', async () => {
  await using t = await createTestApp()
  const sum = builtOnce<{ a: number; b: number }, { sum: number }>(
    (parameter) => sql`SELECT ${parameter(({ a }) => a)}::int + ${parameter(({ b }) => b)}::int AS sum`,
  )
  expect([await sum(t.db, { a: 1, b: 2 }), await sum(t.db, { a: 3, b: 4 })]).toEqual([[{ sum: 3 }], [{ sum: 7 }]])
  const fixed = builtOnce<{ a: number }, { sum: number }>(
    (parameter) => sql`SELECT ${parameter(({ a }) => a)}::int + ${5}::int AS sum`,
  )
  await expect(fixed(t.db, { a: 1 })).rejects.toThrow('a value in a statement that is built once')
})
