import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { tableFacts } from '../../src/db/statistics.ts'
import { selectEnded } from '../../src/sessions/list-queries.ts'
import { countExpired, deleteExpired } from '../../src/sessions/prune-queries.ts'
import { createTestApp } from '../support/app.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type Analyst, createAnalyst } from '../support/statements/analyst.ts'
import { readQuery } from '../support/statements/query.ts'
import { judge, RULES } from '../support/statements/rules.ts'
import { REFUSED } from './refused-statements.ts'

let database: TestDatabase
let client: pg.Client
let analyst: Analyst

beforeAll(async () => {
  database = await cloneDatabase()
  client = new pg.Client({ connectionString: database.ownerUrl })
  await client.connect()
  analyst = await createAnalyst(client)
})

afterAll(async () => {
  await client?.end()
  await database?.drop()
})

async function faultsOf(text: string): Promise<string[]> {
  const tree = await analyst.analyse(text)
  if (!tree) throw new Error(`this is no query: ${text}`)
  return judge(readQuery(tree, analyst.catalog), analyst.catalog).map(({ rule }) => rule)
}

const COUNT = `SELECT count(*) FROM families`
const STEPS = `WITH RECURSIVE steps AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM steps WHERE n < 3)`

/** By rule: what breaks it, and what is next to it and does not. */
const CASES: Readonly<Record<string, { breaks: string[]; keeps: string[] }>> = {
  'no function over columns that is not immutable, where rows are written': {
    breaks: [
      `UPDATE families SET ended_at = $1 WHERE id = $2 AND rotated_at + idle_seconds * interval '1 second' > $1`,
      `UPDATE families SET ended_at = expires_at - interval '1 day' WHERE id = $1`,
      `UPDATE families SET ended_at = coalesce(ended_at, now()) WHERE id = $1`,
      `DELETE FROM families WHERE id = $1 AND to_json(scope)::text = $2`,
      `DELETE FROM families WHERE id = $1 AND scope::text = $2`,
      `UPDATE users SET disabled_at = $1 WHERE id = $2 AND created_at + interval '1 day' > $1`,
      `UPDATE families SET ended_at = $1 FROM users u WHERE u.id = user_id AND families.id = $2 AND u.created_at + interval '1 day' > $1`,
      `DELETE FROM clients USING users u WHERE u.email = clients.id AND clients.created_at + interval '1 day' < now()`,
    ],
    keeps: [
      `UPDATE families SET ended_at = $1 WHERE id = $2 AND $1 - rotated_at < idle_seconds * interval '1 second'`,
      `UPDATE families SET ended_at = now() + interval '1 day' WHERE id = $1`,
      `UPDATE families SET ended_at = coalesce(ended_at, $2) WHERE id = $1`,
      `DELETE FROM families WHERE id = $1 AND octet_length(dpop_jkt) = $2::int`,
      `UPDATE clients SET created_at = created_at + interval '1 day' WHERE id = $1`,
      `${COUNT} WHERE rotated_at + interval '1 day' > now()`,
    ],
  },
  'nothing volatile where rows are changed or deleted': {
    breaks: [`UPDATE families SET ended_at = clock_timestamp() WHERE id = $1`, `DELETE FROM users WHERE random() < $1`],
    keeps: [`INSERT INTO users (id, email, created_at) VALUES (gen_random_uuid(), $1, clock_timestamp())`],
  },
  'only immutable functions in RETURNING': {
    breaks: [`UPDATE families SET ended_at = $2 WHERE id = $1 RETURNING rotated_at + interval '1 day'`],
    keeps: [`UPDATE families SET ended_at = $2 WHERE id = $1 RETURNING ended_at - rotated_at`],
  },
  'only immutable functions in ON CONFLICT': {
    breaks: [
      `INSERT INTO users AS u (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET created_at = u.created_at + interval '1 day'`,
      `INSERT INTO users AS u (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET locale = 'en' WHERE u.created_at < now()`,
    ],
    keeps: [
      `INSERT INTO users AS u (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET created_at = to_timestamp($4::float8), locale = lower(u.locale)`,
    ],
  },
  'no subquery among the values of an INSERT': {
    breaks: [`INSERT INTO users (id, email, created_at) VALUES ($1, (SELECT id FROM clients LIMIT 1), $2)`],
    keeps: [`INSERT INTO users (id, email, created_at) SELECT $1::uuid, email, $2::timestamptz FROM users`],
  },
  'no MERGE': {
    breaks: [`MERGE INTO users u USING clients c ON c.id = u.email WHEN MATCHED THEN UPDATE SET locale = 'en'`],
    keeps: [`MERGE INTO clients c USING outbox o ON c.id = o.id::text WHEN MATCHED THEN UPDATE SET name = 'x'`],
  },
  'the id of a family never changes': {
    breaks: [`UPDATE families SET id = $2 WHERE id = $1`],
    keeps: [`UPDATE users SET id = $2 WHERE id = $1`],
  },
  'rows are locked where they are of one family, or of families in one shard': {
    breaks: [
      `SELECT id FROM families WHERE user_id = $1 FOR UPDATE`,
      `SELECT f.id FROM families f JOIN users u ON u.id = f.user_id WHERE u.id = $1 FOR SHARE OF u`,
      `DELETE FROM families WHERE id IN (SELECT id FROM families WHERE expires_at < $1 LIMIT 9 FOR UPDATE SKIP LOCKED)`,
      `SELECT id FROM families WHERE id = (SELECT id FROM users WHERE email = $1) FOR UPDATE`,
    ],
    keeps: [
      `SELECT id FROM families WHERE id = $1 FOR UPDATE`,
      `SELECT f.id FROM families f JOIN users u ON u.id = f.user_id WHERE f.id = $1 FOR NO KEY UPDATE OF f SKIP LOCKED`,
      `SELECT id FROM users WHERE email = $1 FOR UPDATE`,
      `DELETE FROM families WHERE id IN (SELECT id FROM families WHERE expires_at < $1 LIMIT 9)`,
    ],
  },
  'where families are locked by their ids, each mention of families names the ids': {
    breaks: [],
    keeps: [
      `WITH free AS (SELECT id FROM families WHERE id = $1 FOR UPDATE) UPDATE families f SET retried = true FROM free WHERE f.id = free.id AND f.id = $1`,
      `WITH free AS (SELECT id FROM users WHERE id = $1 FOR UPDATE) UPDATE families f SET retried = true FROM free WHERE f.user_id = free.id`,
    ],
  },
  'no recursion in a statement that writes, nor over several families': {
    breaks: [
      `${STEPS}, changed AS (UPDATE users SET locale = $1 WHERE id = $2 RETURNING id) SELECT n, id FROM steps, changed`,
      `${STEPS} SELECT n, id FROM steps, families WHERE user_id = $1`,
    ],
    keeps: [
      `${STEPS} SELECT n, id FROM steps, users`,
      `${STEPS} SELECT n, id FROM steps, families WHERE id = $1`,
      `${STEPS} DELETE FROM clients USING steps WHERE id = n::text`,
    ],
  },
  'families are joined to nothing but users, and to themselves by id': {
    breaks: [`SELECT a.id FROM families a JOIN families b ON a.user_id = b.user_id WHERE a.user_id = $1`],
    keeps: [
      `SELECT a.id FROM families a JOIN families b ON a.id = b.id WHERE a.user_id = $1`,
      `SELECT f.id, u.id FROM users u LEFT JOIN families f ON f.user_id = u.id`,
      `SELECT id FROM families UNION ALL SELECT family_id FROM audit`,
      `WITH known AS (SELECT id FROM clients) SELECT f.id FROM families f JOIN known ON f.client_id = known.id`,
    ],
  },
  'users are changed and deleted by what they themselves say': {
    breaks: [
      `UPDATE users SET locale = $2 WHERE id = (SELECT user_id FROM families WHERE id = $1)`,
      `UPDATE users SET locale = $1 FROM clients WHERE clients.id = users.email`,
      `WITH ended AS (DELETE FROM families WHERE id = $1) DELETE FROM users WHERE id = $2`,
    ],
    keeps: [
      `UPDATE users SET locale = $1 WHERE id = ANY($2)`,
      `WITH changed AS (UPDATE users SET locale = $2 WHERE id = $1) SELECT id FROM families WHERE user_id = $1`,
      `DELETE FROM clients USING users u WHERE u.email = clients.id`,
    ],
  },
  'families are named by their id, never by ctid': {
    breaks: [`DELETE FROM families WHERE ctid = ANY(ARRAY(SELECT ctid FROM families LIMIT 1))`],
    keeps: [`SELECT ctid FROM families`],
  },
  'a correlated subquery asks for families by their id, and beside families for users only': {
    breaks: [
      `SELECT u.id, (${COUNT} f WHERE f.user_id = u.id) FROM users u`,
      `SELECT u.id FROM users u WHERE NOT EXISTS (SELECT 1 FROM families f WHERE f.user_id = u.id)`,
      `SELECT c.id FROM clients c WHERE EXISTS (SELECT 1 FROM families f WHERE f.client_id = c.id)`,
      `SELECT f.id, (SELECT name FROM clients c WHERE c.id = f.client_id) FROM families f WHERE f.user_id = $1`,
      `SELECT a.id FROM families a WHERE EXISTS (SELECT 1 FROM families b WHERE a.user_id = b.user_id)`,
      `SELECT u.id, f.id FROM users u, LATERAL (SELECT id FROM families WHERE user_id = u.id ORDER BY rotated_at LIMIT 1) f`,
    ],
    keeps: [
      `SELECT u.id FROM users u WHERE id IN (SELECT user_id FROM families)`,
      `SELECT f.id, (SELECT email FROM users u WHERE u.id = f.user_id) FROM families f`,
      `SELECT a.id FROM families a WHERE EXISTS (SELECT 1 FROM families b WHERE a.id = b.id)`,
      `SELECT u.id, (SELECT count(*) FROM clients c WHERE c.id = u.email) FROM users u`,
      `WITH sessions AS (SELECT user_id, count(*) FROM families GROUP BY user_id) SELECT * FROM users u LEFT JOIN sessions s ON s.user_id = u.id`,
    ],
  },
  'a subquery over families has a column': {
    breaks: [
      `SELECT count(*) FROM (SELECT FROM families LIMIT 9) AS few`,
      `SELECT EXISTS (SELECT FROM families WHERE user_id = $1)`,
    ],
    keeps: [
      `SELECT count(*) FROM (SELECT 1 FROM families LIMIT 9) AS few`,
      `SELECT EXISTS (SELECT FROM families WHERE id = $1)`,
    ],
  },
}

/** By rule: what Citus runs, and this project does not want. */
const DEAR: Readonly<Record<string, string[]>> = {
  // A table that lies on one machine is copied to the others, or the other way round.
  'families are joined to nothing but users, and to themselves by id': [
    `SELECT f.id FROM families f JOIN clients c ON c.id = f.client_id WHERE f.user_id = $1`,
    `SELECT f.id FROM families f JOIN clients c ON c.id = f.client_id WHERE f.id = $1`,
    `DELETE FROM clients USING families f WHERE f.client_id = clients.id`,
  ],
  // Every machine is asked.
  'where families are locked by their ids, each mention of families names the ids': [
    `WITH free AS (SELECT id FROM families WHERE id = $1 FOR UPDATE) UPDATE families f SET retried = true FROM free WHERE f.id = free.id`,
  ],
}
/** Whether Citus runs it depends on the list. The rotator and the dater keep theirs within a shard. */
const OF_A_LIST = `SELECT id FROM families WHERE id = ANY($1::uuid[]) FOR NO KEY UPDATE SKIP LOCKED`

test('each rule has its cases', () => {
  expect(Object.keys(CASES)).toEqual(RULES.map(({ name }) => name))
})

describe.each(Object.entries(CASES))('%s', (rule, { breaks, keeps }) => {
  test.each(breaks)('breaks it: %s', async (text) => {
    expect(await faultsOf(text)).toContain(rule)
  })
  test.each(keeps)('does not: %s', async (text) => {
    expect(await faultsOf(text)).toEqual([])
  })
})

describe.each(Object.entries(DEAR))('though Citus runs it, %s', (rule, texts) => {
  test.each(texts)('breaks it: %s', async (text) => {
    expect(await faultsOf(text)).toEqual([rule])
  })
})

test('families of a list may be locked', async () => {
  expect(await faultsOf(OF_A_LIST)).toEqual([])
})

test.each(Object.entries(REFUSED))('refused, %s', async (_what, text) => {
  expect(await faultsOf(text)).not.toEqual([])
})

test('those that do the same now can be distributed', async () => {
  await using t = await createTestApp()
  const query = vi.spyOn(pg.Client.prototype, 'query')
  const { refreshToken } = await t.signUp()
  expect((await t.refresh(refreshToken)).statusCode).toBe(200)
  const now = t.deps.clock()
  await deleteExpired(t.deps.db, now, 10)
  await countExpired(t.deps.db, now, 10)
  await selectEnded(t.deps.db, now, { userId: undefined, limit: 10 })
  await tableFacts(t.deps.db, 'families')
  const sent = query.mock.calls.flatMap(([first]) => (first as { text?: string }).text ?? [])
  const texts = [...new Set(sent)].filter((text) => /families|login_failures/.test(text))
  for (const text of texts) expect({ text, faults: await faultsOf(text) }).toEqual({ text, faults: [] })
  expect(texts.length).toBeGreaterThan(7)
})

test('what is no query, or one of several, is not executed', async () => {
  for (const text of ['BEGIN', 'SET TimeZone = UTC', 'SELECT 1; DROP TABLE families']) {
    expect(await analyst.analyse(text)).toBeUndefined()
  }
  expect((await client.query(COUNT)).rowCount).toBe(1)
})

test('a list with more parameters than a function may have', async () => {
  const rows = Array.from({ length: 40 }, (_, row) => `($${3 * row + 1}, $${3 * row + 2}, $${3 * row + 3})`)
  expect(await faultsOf(`INSERT INTO users (id, email, created_at) VALUES ${rows.join()}`)).toEqual([])
  expect(
    await faultsOf(
      `INSERT INTO users (id, email, created_at) VALUES ${rows.join()} RETURNING created_at + interval '1 day'`,
    ),
  ).toEqual(['only immutable functions in RETURNING'])
})

describe.skipIf(!inject('citus'))('the cluster says the same', () => {
  const breaking = [...Object.values(CASES).flatMap(({ breaks }) => breaks), ...Object.values(REFUSED)]
  const keeping = [...Object.values(CASES).flatMap(({ keeps }) => keeps), ...Object.values(DEAR).flat()]

  test.each(breaking)('refuses %s', async (text) => {
    expect(await refusal(text)).toMatch(/^(0A000|42601|XX000) /)
  })
  test.each(keeping)('runs %s', async (text) => {
    expect(await refusal(text)).toBeUndefined()
  })
})

const SAMPLES: Readonly<Record<string, string>> = {
  uuid: 'gen_random_uuid()',
  integer: '1',
  bigint: '1',
  'double precision': '0.5',
  bytea: `'\\x01'`,
  boolean: 'true',
  'timestamp with time zone': 'now()',
  regclass: `'families'`,
  text: `'a@example.com'`,
}
const sampleOf = (type: string): string =>
  type.endsWith('[]')
    ? `ARRAY[${sampleOf(type.slice(0, -2))}, ${sampleOf(type.slice(0, -2))}]::${type}`
    : `${SAMPLES[type] ?? `'x'`}::${type}`

/** @returns what the cluster refuses a statement with. A value that does not fit (class 22) or breaks a constraint (23) is no refusal. */
async function refusal(text: string): Promise<string | undefined> {
  await client.query('BEGIN')
  try {
    await client.query(`PREPARE asked AS ${text}`)
    const { rows } = await client.query<{ types: string[] }>(
      `SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = 'asked'`,
    )
    const values = rows[0]?.types.map(sampleOf) ?? []
    await client.query(`EXECUTE asked${values.length > 0 ? `(${values.join()})` : ''}`)
    return undefined
  } catch (error) {
    const { code = '', message } = error as pg.DatabaseError
    return /^2[23]/.test(code) ? undefined : `${code} ${message}`
  } finally {
    await client.query('ROLLBACK')
    await client.query('DEALLOCATE ALL')
  }
}
