import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readMigrations, statementsOf } from '../../src/db/migration-files.ts'
import { PLACEMENTS, type Placement } from '../../src/db/placement.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type Analyst, createAnalyst } from '../support/statements/analyst.ts'
import { readQuery } from '../support/statements/query.ts'
import { judge } from '../support/statements/rules.ts'

// A migration after 0018 may find users and families spread over machines. What Citus would refuse then is found on one, too.

const LATER = (await readMigrations()).filter(({ name }) => name > '0018_distributable')

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

interface Rule {
  /** Of a statement in one line, without quoted text and what is in brackets. */
  isBrokenBy: RegExp
  breaks: string[]
  keeps: string[]
}

const RULES: Readonly<Record<string, Rule>> = {
  // Of DROP CONSTRAINT beside anything else, the workers of 13.2 crash.
  'ALTER TABLE does one thing': {
    isBrokenBy: /^ALTER TABLE (users|families) .*,/i,
    breaks: [
      `ALTER TABLE families ADD COLUMN a text, ADD CONSTRAINT families_a_is_short CHECK (length(a) < 9)`,
      `ALTER TABLE families ADD COLUMN a text CHECK (length(a) < 9), ADD COLUMN b text`,
      `ALTER TABLE users ADD CONSTRAINT a CHECK (email <> ''), ADD CONSTRAINT b CHECK (email <> 'b')`,
    ],
    keeps: [
      `ALTER TABLE families ADD COLUMN a text CONSTRAINT families_a_is_known CHECK (a IN ('b', 'c, d'))`,
      `ALTER TABLE users ADD CONSTRAINT users_email_is_short CHECK (length(email) < 999) NOT VALID`,
      `ALTER TABLE outbox ADD COLUMN a text, ADD CONSTRAINT outbox_a_is_short CHECK (length(a) < 9)`,
    ],
  },
  'constraints keep their names': {
    isBrokenBy: /^ALTER TABLE (users|families) RENAME CONSTRAINT /i,
    breaks: ['ALTER TABLE families RENAME CONSTRAINT families_pkey TO families_key'],
    keeps: ['ALTER TABLE families RENAME COLUMN user_agent TO agent'],
  },
  'columns are stored and sampled as they are': {
    isBrokenBy: /^ALTER TABLE (users|families) (ALTER (COLUMN )?\w+ SET (STATISTICS|STORAGE|COMPRESSION)|CLUSTER) /i,
    breaks: [
      'ALTER TABLE users ALTER COLUMN email SET STATISTICS 100',
      'ALTER TABLE users ALTER COLUMN email SET STORAGE external',
      'ALTER TABLE families CLUSTER ON families_pkey',
    ],
    keeps: [
      'ALTER TABLE families ALTER COLUMN remember SET DEFAULT false',
      'ALTER TABLE families SET (fillfactor = 70)',
      'CREATE INDEX families_client_id_idx ON families (client_id)',
    ],
  },
}

function faultsOf(statement: string): string[] {
  let line = statement.replaceAll(/\s+/g, ' ').replaceAll(/'[^']*'/g, '')
  while (/\([^()]*\)/.test(line)) line = line.replaceAll(/\([^()]*\)/g, '')
  return Object.entries(RULES).flatMap(([rule, { isBrokenBy }]) => (isBrokenBy.test(line) ? [rule] : []))
}

/** @returns the database's error. */
async function refusal(statement: string): Promise<string | undefined> {
  await client.query('BEGIN')
  try {
    await client.query(statement)
    return undefined
  } catch (error) {
    return (error as Error).message
  } finally {
    await client.query('ROLLBACK')
  }
}

describe.each(Object.entries(RULES))('%s', (rule, { breaks, keeps }) => {
  test.each(breaks)('not: %s', async (statement) => {
    expect(faultsOf(statement)).toEqual([rule])
    if (inject('citus')) expect(await refusal(statement)).toMatch(/cannot execute|unsupported/)
    else expect(await refusal(statement)).toBeUndefined()
  })
  test.each(keeps)('but: %s', async (statement) => {
    expect([faultsOf(statement), await refusal(statement)]).toEqual([[], undefined])
  })
})

test('later migrations keep to these rules, and to those of all statements', async () => {
  for (const { name, text } of LATER) {
    for (const statement of statementsOf(text)) {
      const tree = await analyst.analyse(statement)
      const faults = tree ? judge(readQuery(tree, analyst.catalog), analyst.catalog).map(({ rule }) => rule) : []
      expect({ name, statement, faults: [...faultsOf(statement), ...faults] }).toEqual({ name, statement, faults: [] })
    }
  }
})

const spread = Object.entries(PLACEMENTS).flatMap(([table, placement]) => (placement === 'coordinator' ? [] : [table]))

test('a row refers to rows that lie with it', async () => {
  const { rows } = await client.query<{ name: string; from: keyof typeof PLACEMENTS; to: keyof typeof PLACEMENTS }>(`
    SELECT conname AS name, conrelid::regclass::text AS from, confrelid::regclass::text AS to FROM pg_constraint
    WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conname !~ '_[0-9]{6,}$'`)
  const together: Readonly<Record<Placement, readonly Placement[]>> = {
    family: ['everywhere'],
    everywhere: ['everywhere'],
    // Those to users are dropped where these are spread.
    coordinator: ['coordinator', 'everywhere'],
  }
  const apart = rows.filter(({ from, to }) => !together[PLACEMENTS[from]].includes(PLACEMENTS[to]))
  expect(apart).toEqual([])
  expect(rows.length).toBeGreaterThan(1)
})

test('of spread tables, nothing is unique over several machines, numbered in a sequence or watched by a trigger', async () => {
  const { rows: unique } = await client.query<{ name: string }>(`
    SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_attribute a ON attrelid = indrelid AND attname = 'id'
    WHERE indrelid = 'families'::regclass AND indisunique AND NOT a.attnum = ANY(indkey)`)
  const { rows: numbered } = await client.query<{ name: string }>(
    `SELECT attrelid::regclass || '.' || attname AS name FROM pg_attribute
      LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
      WHERE attrelid = ANY($1::regclass[]) AND (attidentity <> '' OR pg_get_expr(adbin, adrelid) LIKE '%nextval(%')`,
    [spread],
  )
  const { rows: watched } = await client.query<{ name: string }>(
    'SELECT tgname AS name FROM pg_trigger WHERE tgrelid = ANY($1::regclass[]) AND NOT tgisinternal',
    [spread],
  )
  expect([unique, numbered, watched.filter(({ name }) => !name.startsWith('truncate_trigger'))]).toEqual([[], [], []])
})
