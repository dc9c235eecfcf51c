import { randomBytes } from 'node:crypto'
import type { LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { deriveServerKeys } from '../../../src/config/secrets.ts'
import { authenticateToken, mintFirst, mintSuccessor } from '../../../src/tokens/refresh.ts'
import { createTestApp, type TestApp } from '../../support/app.ts'
import { atOnce } from '../../support/at-once.ts'
import { forFile } from '../../support/for-file.ts'
import { statements, visible } from '../../users/support.ts'
import {
  bearer,
  eventsOf,
  expectRefused,
  family,
  granted,
  isLive,
  logout,
  ownOrigin,
  post,
  refresh,
  register,
  type SignedIn,
  signIn,
  startApp,
  stopClock,
  trail,
} from '../support.ts'

const t = forFile(await startApp())
const user = await register(t)
const travel = stopClock(t)

const DAY = 24 * 3600

/** As the browser sends it from our own page. */
const fromPage = (cookie: string, body?: unknown) =>
  post(t, '/refresh', { cookie, headers: { origin: ownOrigin(t) }, ...(body === undefined ? {} : { body }) })
const inBody = (refresh_token: string, more = {}) => post(t, '/refresh', { body: { refresh_token, ...more } })

/** A token of the right form whose last part was made under keys of nobody. */
function forge(): string {
  return mintFirst([deriveServerKeys(randomBytes(32))]).token
}

function altered(token: string, at: number): string {
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
}

describe.each(['body', 'cookie'] as const)('reuse of a token in the %s', (via) => {
  test('ends the family although the reply is an error, with two audit events of that request', async () => {
    const { token, accessToken, sid } = await signIn(t, user, via)
    const other = await signIn(t, user, via)
    const second = granted(await refresh(t, via, token))
    const third = granted(await refresh(t, via, second))
    expect((await bearer(t, accessToken)).statusCode).toBe(200)

    const replay = await refresh(t, via, token, { headers: { 'user-agent': 'thief/1' } })
    expectRefused(replay)
    expect(await family(t, sid)).toMatchObject({ end_cause: 'reuse_detected', ended_at: t.deps.clock() })
    for (const each of [token, second, third]) expectRefused(await refresh(t, via, each))
    expect((await bearer(t, accessToken)).statusCode).toBe(401)
    expect((await bearer(t, accessToken, '/sessions')).statusCode).toBe(401)

    const [reuse, ended, ...rest] = await trail(t, sid)
    expect(rest).toEqual([])
    const about = { user_id: user.id, client_id: via === 'body' ? 'native' : 'web', user_agent: 'thief/1' }
    const { instance } = replay.json<{ instance: string }>()
    expect(reuse).toMatchObject({
      type: 'refresh.reuse_detected',
      outcome: 'failure',
      reason: 'older_generation',
      request_id: instance,
      details: { presented: 0, current: 2 },
      ...about,
    })
    expect(ended).toMatchObject({ type: 'session.ended', reason: 'reuse_detected', request_id: instance, ...about })
    // The user's other sessions have nothing to do with it.
    granted(await refresh(t, via, other.token))
  })

  test('the owner is the one who finds out if the thief went first', async () => {
    const { token, sid } = await signIn(t, user, via)
    const stolen = granted(await refresh(t, via, token))
    const loot = granted(await refresh(t, via, stolen))
    travel(11)
    expectRefused(await refresh(t, via, token))
    expectRefused(await refresh(t, via, loot))
    expect(await isLive(t, sid)).toBe(false)
  })

  test('every earlier generation is reuse, however long ago it was replaced', async () => {
    for (const back of [2, 5, 12]) {
      const { token, sid } = await signIn(t, user, via)
      const tokens = [token]
      for (let i = 0; i < 12; i++) tokens.push(granted(await refresh(t, via, tokens.at(-1) ?? '')))
      travel(via === 'body' ? 13 * DAY : 11 * 3600)
      expectRefused(await refresh(t, via, tokens.at(-1 - back) ?? ''))
      expect(await isLive(t, sid)).toBe(false)
      expectRefused(await refresh(t, via, tokens.at(-1) ?? ''))
    }
  })

  test('is counted once per family', async () => {
    const counted = async () => (await t.deps.metrics.reuseDetected.get()).values[0]?.value ?? 0
    const before = await counted()
    const { token, sid } = await signIn(t, user, via)
    granted(await refresh(t, via, granted(await refresh(t, via, token))))
    const answers = await atOnce(10, () => refresh(t, via, token))
    for (const answer of answers) expectRefused(answer)
    expect(await counted()).toBe(before + 1)
    expect(await eventsOf(t, sid)).toHaveLength(2)
  })

  test('with another client_id it is refused and audited, and the family lives', async () => {
    const { token, sid } = await signIn(t, user, via)
    for (const client_id of [via === 'body' ? 'web' : 'native', 'unheard-of']) {
      const answer = via === 'body' ? await inBody(token, { client_id }) : await fromPage(token, { client_id })
      expectRefused(answer)
    }
    expect(new Set(await eventsOf(t, sid))).toEqual(new Set(['refresh.refused wrong_client']))
    expect(await family(t, sid)).toMatchObject({ generation: 0, ended_at: null })
    const own = { client_id: via === 'body' ? 'native' : 'web' }
    granted(via === 'body' ? await inBody(token, own) : await fromPage(token, own))
  })

  test('in the wrong delivery it is refused and audited, and the family lives', async () => {
    const { token, sid } = await signIn(t, user, via)
    const second = granted(await refresh(t, via, token))
    // The current one, and a replaced one: in the wrong place it is no replay of anything.
    for (const each of [second, token]) expectRefused(via === 'body' ? await fromPage(each) : await inBody(each))
    expect(new Set(await eventsOf(t, sid))).toEqual(new Set(['refresh.refused wrong_delivery']))
    expect(await family(t, sid)).toMatchObject({ generation: 1, ended_at: null })
    granted(await refresh(t, via, second))
  })
})

describe('a rotation with an Idempotency-Key whose token comes again', () => {
  const mismatches = async (sid: string) =>
    (await trail(t, sid))
      .filter(({ type }) => type === 'refresh.key_mismatch')
      .map(({ reason, outcome }) => [reason, outcome])

  test.each([
    ['with that key is what honest clients do', { key: 'one' }, []],
    ['without a key is recorded as its own event', {}, [['no_key', 'success']]],
    ['with another key likewise', { key: 'another' }, [['other_key', 'success']]],
  ])('%s', async (_name, options, events) => {
    const { token, sid } = await signIn(t, user)
    const successor = granted(await refresh(t, 'body', token, { key: 'one' }))
    for (let i = 0; i < 3; i++) expect(granted(await refresh(t, 'body', token, options))).toBe(successor)
    expect(await mismatches(sid)).toEqual(events)
    granted(await refresh(t, 'body', successor))
  })

  test('a retry of a rotation without a key says nothing', async () => {
    const { token, sid } = await signIn(t, user)
    granted(await refresh(t, 'body', token))
    granted(await refresh(t, 'body', token, { key: 'one' }))
    expect(await mismatches(sid)).toEqual([])
  })
})

test('unknown, malformed and forged tokens end nothing, and cost no query', async () => {
  const { token, sid, accessToken } = await signIn(t, user)
  const key = deriveServerKeys(randomBytes(32))
  const own = authenticateToken(t.deps.serverKeys, token)
  if (!own) throw new Error('it is made under the keys of this server')
  const foreign = { ...own, secret: randomBytes(32) }
  const forged = [
    '',
    'x',
    sid,
    'rt1_',
    `rt1_${sid}`,
    'rt2_'.concat(token.slice(4)),
    token.slice(0, -1),
    `${token}A`,
    `${token} `,
    `${token}=`,
    token.toUpperCase(),
    `rt1_${randomBytes(69).toString('base64url')}`,
    // The right family, a plausible generation, and a tag under another key.
    mintSuccessor(key, foreign, 0, randomBytes(16)),
    mintSuccessor(key, foreign, 1, randomBytes(16)),
    ...Array.from({ length: token.length - 4 }, (_, index) => altered(token, index + 4)),
  ]
  const asked = await statements(t, async () => {
    for (const each of forged) expectRefused(await inBody(each))
  })
  expect(asked).toEqual([])
  expect(await eventsOf(t, sid)).toEqual([])
  expect((await bearer(t, accessToken)).statusCode).toBe(200)
  granted(await inBody(token))
})

test('a token of a family that is gone is unknown, and nothing is written about it', async () => {
  const { token, sid } = await signIn(t, user)
  await t.db.deleteFrom('families').where('id', '=', sid).execute()
  expectRefused(await inBody(token))
  expect(await eventsOf(t, sid)).toEqual([])
})

test('every refused refresh has the same body and the same headers, whatever the cause', async () => {
  const after = async (via: SignedIn['delivery'], change: (session: SignedIn) => Promise<unknown>) => {
    const session = await signIn(t, user, via)
    await change(session)
    return session.token
  }
  const ended = await after('body', ({ token }) => logout(t, 'body', token))
  const endedCookie = await after('cookie', ({ token }) => logout(t, 'cookie', token))
  const reused = await after('body', async ({ token }) => inBody(granted(await inBody(granted(await inBody(token))))))
  const late = await after('body', async ({ token }) => inBody(token, { scope: 'account' }))
  const expired = await after('body', async ({ sid }) =>
    t.db.updateTable('families').set({ expires_at: t.deps.clock() }).where('id', '=', sid).execute(),
  )
  const disabled = await register(t)
  const barred = await signIn(t, disabled)
  await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('id', '=', disabled.id).execute()
  const native = await signIn(t, user)
  const browser = await signIn(t, user, 'cookie')
  travel(11)

  const answers: Record<string, LightMyRequestResponse> = {
    none: await post(t, '/refresh'),
    'none, of a page': await post(t, '/refresh', { headers: { origin: ownOrigin(t) } }),
    'none, in an empty body': await post(t, '/refresh', { body: {} }),
    empty: await inBody(''),
    'empty cookie': await fromPage(''),
    malformed: await inBody('rt1_x'),
    'malformed cookie': await fromPage('rt1_x'),
    forged: await inBody(forge()),
    'forged cookie': await fromPage(forge()),
    unknown: await inBody(mintFirst(t.deps.serverKeys).token),
    'unknown cookie': await fromPage(mintFirst(t.deps.serverKeys).token),
    ended: await inBody(ended),
    'ended cookie': await fromPage(endedCookie),
    expired: await inBody(expired),
    reused: await inBody(reused),
    'reused again': await inBody(reused),
    'retried too late': await inBody(late),
    disabled: await inBody(barred.token),
    'wrong client': await inBody(native.token, { client_id: 'web' }),
    'no such client': await inBody(native.token, { client_id: 'nobody' }),
    'wrong client, cookie': await fromPage(browser.token, { client_id: 'native' }),
    'wrong delivery': await inBody(browser.token),
    'wrong delivery, cookie': await fromPage(native.token),
    'an access token': await inBody(native.accessToken),
    'an access token in the cookie': await fromPage(browser.accessToken),
    'more scope than there is, of an ended family': await inBody(ended, { scope: 'everything' }),
  }
  /** Where CORS answers, it depends on the page that asks and not on the cause. */
  const seen = (answer: LightMyRequestResponse) => {
    const { status, body, headers } = visible(answer)
    return {
      status,
      body,
      headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('access-control-'))),
    }
  }
  const expected = seen(answers.none as LightMyRequestResponse)
  expect(expected).toMatchObject({
    status: 401,
    body: { type: 'urn:claviger:problem:invalid_grant', title: 'Sign in again', status: 401, code: 'invalid_grant' },
  })
  expect(Object.keys(expected.body)).toHaveLength(4)
  expect(expected.headers['set-cookie']).toBeUndefined()
  for (const [cause, answer] of Object.entries(answers)) expect(seen(answer), cause).toEqual(expected)
  const instances = Object.values(answers).map((answer) => answer.json().instance as string)
  expect(new Set(instances).size).toBe(instances.length)
})

test('the end for reuse and its audit events are one transaction', async () => {
  const { token, sid } = await signIn(t, user)
  const third = granted(await inBody(granted(await inBody(token))))
  await sql`CREATE FUNCTION refuse_audit() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$`.execute(t.db)
  await sql`CREATE TRIGGER refuse_audit BEFORE INSERT ON audit FOR EACH ROW WHEN (NEW.type = 'session.ended')
    EXECUTE FUNCTION refuse_audit()`.execute(t.db)
  try {
    const answer = await inBody(token)
    expect([answer.statusCode, answer.headers['retry-after']]).toEqual([503, '1'])
  } finally {
    await sql`DROP TRIGGER refuse_audit ON audit`.execute(t.db)
  }
  expect(await isLive(t, sid)).toBe(true)
  expect(await eventsOf(t, sid)).toEqual([])
  expectRefused(await inBody(token))
  expectRefused(await inBody(third))
  expect(await eventsOf(t, sid)).toHaveLength(2)
})

describe('what a thief can do', () => {
  /** Every row of every table as text, and every binary value in it. */
  async function dump(app: TestApp) {
    const { rows: tables } = await sql<{ name: string }>`
      SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`.execute(app.db)
    const lines: string[] = []
    for (const { name } of tables) {
      const { rows } = await sql<{
        line: string
      }>`SELECT row_to_json(r)::text AS line FROM ${sql.table(name)} r`.execute(app.db)
      lines.push(...rows.map(({ line }) => line))
    }
    const text = lines.join('\n')
    const bytes = [...text.matchAll(/\\\\x([0-9a-f]+)/g)].map(([, hex = '']) => Buffer.from(hex, 'hex'))
    return { text, bytes }
  }

  test('a dump of the database alone yields no refresh token', async () => {
    const { token, sid } = await signIn(t, user)
    const second = granted(await inBody(token, {}))
    const { text, bytes } = await dump(t)
    for (const each of [token, second]) {
      const raw = Buffer.from(each.slice(4), 'base64url')
      const secret = raw.subarray(21, 53)
      for (const part of [
        each,
        each.slice(4),
        secret.toString('hex'),
        secret.toString('base64'),
        raw.toString('hex'),
      ]) {
        expect(text.includes(part)).toBe(false)
      }
    }
    // Whatever the dump holds, put where the secret and the tag belong.
    const row = await family(t, sid)
    const candidates = bytes.filter((each) => each.length >= 16)
    expect(candidates.length).toBeGreaterThan(3)
    const header = Buffer.from(second.slice(4), 'base64url').subarray(0, 21)
    for (const secret of candidates) {
      for (const tag of [row.current_hash, row.previous_hash ?? row.current_hash, row.salt ?? secret]) {
        const filled = Buffer.concat([secret, Buffer.alloc(32)]).subarray(0, 32)
        const guess = `rt1_${Buffer.concat([header, filled, tag.subarray(0, 16)]).toString('base64url')}`
        expectRefused(await inBody(guess))
      }
    }
    expect(await isLive(t, sid)).toBe(true)
    granted(await inBody(second))
  })

  test('the server key alone, and the id of a session, make no token for it: it is neither taken over nor ended', async () => {
    await using app = await startApp({ REFRESH_ROLL_FORWARD: 'on' })
    const owner = await register(app)
    for (const generation of [0, 1, 2, 3, 1000]) {
      const { token, sid } = await signIn(app, owner)
      const second = granted(await refresh(app, 'body', token))
      const invented = authenticateToken(app.deps.serverKeys, mintFirst(app.deps.serverKeys).token)
      if (!invented) throw new Error('it is made under the keys of this server')
      const [key] = app.deps.serverKeys
      const guess = { ...invented, handle: Buffer.from(sid.replaceAll('-', ''), 'hex') }
      expectRefused(await refresh(app, 'body', mintSuccessor(key, guess, generation, randomBytes(16))))
      expect(await isLive(app, sid)).toBe(true)
      granted(await refresh(app, 'body', second))
    }
  })

  test('a token lives on when a newer secret is put before the one that made it, and not when that is gone', async () => {
    const [old, fresh] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
    await using before = await startApp({ CLAVIGER_SECRET: old })
    const owner = await register(before)
    const { token } = await signIn(before, owner)
    const second = granted(await refresh(before, 'body', token))
    await using after = await createTestApp({ join: before, env: { CLAVIGER_SECRET: `${fresh},${old}` } })
    // A retry of what the old secret answered, and a rotation under the new one.
    expect(granted(await refresh(after, 'body', token))).toBe(second)
    const third = granted(await refresh(after, 'body', second))
    expectRefused(await refresh(before, 'body', third))
    granted(await refresh(after, 'body', third))
  })
})
