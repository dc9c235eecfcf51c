import { describe, expect, inject, test } from 'vitest'
import { joinMachines, makeCluster, readNodes } from '../../dev/postgres/citus.ts'
import { distribute } from '../../src/db/distribute.ts'
import { migrate } from '../../src/db/migrate.ts'
import { createTestCli } from '../cli/support.ts'
import { createTestApp } from '../support/app.ts'
import { createDatabase, query } from '../support/postgres.ts'

describe.skipIf(inject('citus'))('where there is no Citus', () => {
  test('distribute refuses, says why, and changes nothing', async () => {
    await using cli = await createTestCli()
    const { code, out, err } = await cli.run(['distribute'])
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain('this PostgreSQL does not have the extension Citus')
  })
})

test.each(['1', '0', '-4', '2.5', 'many', '1025'])('--shards %s is refused', async (shards) => {
  await using cli = await createTestCli()
  const { code, err } = await cli.run(['distribute', `--shards=${shards}`])
  expect([code, err]).toEqual([2, expect.stringContaining('--shards must be a number from 2 to 1024')])
})

describe.skipIf(!inject('citus'))('on a Citus cluster', () => {
  test('what lies where it belongs is left alone', async () => {
    await using t = await createTestApp()
    expect(await distribute(t.database.ownerUrl)).toEqual({ placed: [], shards: 4, workers: expect.any(Number) })
  })

  test('accounts can be locked where it was distributed twice, in a schema of its own', {
    timeout: 180_000,
  }, async () => {
    await using database = await createDatabase()
    const [server, name] = [inject('databaseUrl'), new URL(database.ownerUrl).pathname.slice(1)]
    await query(database.ownerUrl, 'CREATE SCHEMA "My Auth"')
    await query(database.ownerUrl, `ALTER DATABASE ${name} SET search_path = "My Auth"`)
    await makeCluster(await readNodes(server), server, name, { shards: 4 })
    await distribute(database.ownerUrl)
    for (const lock of ['locked_user(gen_random_uuid())', `locked_user_by_email('nobody@example.com')`])
      expect(await query(database.ownerUrl, `SELECT * FROM ${lock}`)).toEqual([])
  })

  test('rows are announced, copied, and gone from where they were', async () => {
    await using cli = await createTestCli()
    await using database = await createDatabase()
    const { ownerUrl } = database
    const server = inject('databaseUrl')
    await joinMachines(await readNodes(server), server, new URL(ownerUrl).pathname.slice(1))
    await migrate(ownerUrl)
    await query(
      ownerUrl,
      `INSERT INTO users (id, email, created_at) VALUES (gen_random_uuid(), 'a@example.com', now())`,
    )
    await query(ownerUrl, 'ANALYZE')
    const { code, out, err } = await cli.run(['distribute', '--shards=4'], { env: { DATABASE_URL: ownerUrl } })
    expect([code, err]).toEqual([0, expect.stringContaining('copying about 0 sessions and 1 accounts')])
    expect(out).toMatch(/users +a copy on every machine\n.*families +divided by session/)
    expect(await query(ownerUrl, 'SELECT email FROM users')).toEqual([{ email: 'a@example.com' }])
    expect(await query(ownerUrl, `SELECT pg_relation_size('users') AS size`)).toEqual([{ size: '0' }])
  })

  test('a foreign key that was added by hand is found by doctor, and taken away again', async () => {
    await using cli = await createTestCli()
    const { ownerUrl } = cli.database
    const line = async () => (await cli.run(['doctor'])).out.split('\n').find((each) => / cluster /.test(each))
    expect(await line()).toMatch(/^✓.*each table lies where it belongs/)
    await query(ownerUrl, 'ALTER TABLE notices ADD CONSTRAINT added FOREIGN KEY (user_id) REFERENCES users')
    expect(await line()).toMatch(/^!.*notices: not where it belongs/)
    await distribute(ownerUrl)
    expect(await line()).toMatch(/^✓/)
  })

  test('another program’s table keeps the foreign key that it has', async () => {
    await using t = await createTestApp()
    const { ownerUrl } = t.database
    await query(ownerUrl, 'CREATE TABLE orders (owner uuid CONSTRAINT of_users REFERENCES users)')
    await distribute(ownerUrl)
    expect(await query(ownerUrl, `SELECT conname FROM pg_constraint WHERE conname = 'of_users'`)).toHaveLength(1)
  })

  test('a database without the extension is not distributed, and it says what to do', async () => {
    await using database = await createDatabase()
    await expect(distribute(database.ownerUrl)).rejects.toThrow('CREATE EXTENSION citus')
  })
})
