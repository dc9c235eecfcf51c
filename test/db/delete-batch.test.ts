import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { deleteBatch } from '../../src/db/delete-batch.ts'
import { cloneDatabase } from '../support/postgres.ts'

test('no more rows than asked for are deleted, however PostgreSQL joins them', async () => {
  await using database = await cloneDatabase()
  const { db } = connect({ url: database.url, size: 1 })
  try {
    await sql`INSERT INTO rate_limits SELECT 'p', n::text, now(), 1 FROM generate_series(1, 5) AS n`.execute(db)
    // What is left is a loop that runs a subquery for each row.
    for (const way of ['hashjoin', 'mergejoin', 'hashagg', 'sort', 'material', 'bitmapscan', 'indexscan'])
      await sql.raw(`SET enable_${way} = off`).execute(db)
    expect(await deleteBatch(db, 'rate_limits', { key: ['policy', 'key'], where: sql`true`, limit: 2 })).toBe(2)
    expect(await db.selectFrom('rate_limits').select('key').execute()).toHaveLength(3)
  } finally {
    await db.destroy()
  }
})
