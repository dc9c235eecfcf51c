import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { family, register, signIn } from '../sessions/support.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { type Outcome, run } from './support.ts'

const t = forFile(await createTestApp())
const cli = (...args: string[]) => run(['clients', ...args], { env: t.env })

async function json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
  const { code, out, err } = await cli(...args, '--json')
  if (code !== 0) throw new Error(`exit code ${code}: ${err}`)
  const told = JSON.parse(out) as T & { client_secret?: string }
  if (told.client_secret) noteSecret(told.client_secret)
  return told
}

const events = async (app: TestApp, clientId: string) =>
  (
    await app.db
      .selectFrom('audit')
      .select(['type', 'actor'])
      .where('client_id', '=', clientId)
      .orderBy('seq')
      .execute()
  ).map(({ type, actor }) => `${type} by ${actor}`)

describe('add', () => {
  test('prints id and secret of a service, once', async () => {
    const told = await json<{ client_id: string; client_secret: string }>(
      'add',
      'reports',
      '--type',
      'service',
      '--scope',
      'a,b',
      '--scope',
      'c d',
      '--audience',
      'x',
      '--states-visitor-address',
      '--as',
      'ada',
    )
    expect(told).toEqual({
      client_id: expect.stringMatching(/^cl_[\w-]{22}$/),
      client_secret: expect.stringMatching(/^cvs1_[\w-]{48}$/),
    })
    const shown = await cli('show', 'reports', '--json')
    expect(JSON.parse(shown.out).client).toMatchObject({
      client_id: told.client_id,
      type: 'service',
      scopes: ['a', 'b', 'c', 'd'],
      audiences: ['x'],
      auth: 'client_secret_basic',
      states_visitor_address: true,
      secrets: [{ last_used_at: null }],
    })
    for (const { out } of [shown, await cli('show', 'reports'), await cli('list', '--json')])
      expect(out).not.toContain(told.client_secret)
    expect(await events(t, told.client_id)).toEqual(['client.created by operator:ada'])
  })

  test('says it to people too', async () => {
    const { out } = await cli('add', 'for people', '--type', 'service')
    noteSecret(/cvs1_\S+/.exec(out)?.[0] ?? '')
    expect(out).toMatch(
      /^Registered for people\.\n\nclient_id {6}cl_\S{22}\nclient_secret {2}cvs1_\S{48}\n\nThe secret is not shown again\. It is good until /,
    )
  })

  test('registers clients that people sign in with, which have no secret', async () => {
    const origin = ['https://shop.example', 'https://www.shop.example']
    const lifetimes = ['--session-idle-seconds', '60', '--access-token-seconds', '30']
    const told = await json('add', 'shop', '--type', 'browser', '--origin', origin.join(','), ...lifetimes)
    expect(told).toEqual({ client_id: expect.any(String) })
    const { client } = await json<{ client: object }>('show', 'shop')
    expect(client).toMatchObject({ origins: origin, session_idle_seconds: 60, access_token_seconds: 30, auth: null })
    const views = ['--origin', 'capacitor://localhost', '--origin', 'ionic://localhost']
    await json('add', 'shop-app', '--type', 'native', ...views)
    expect((await cli('show', 'shop-app')).out).toContain('capacitor://localhost, ionic://localhost')
  })

  test('registers clients whose tokens are all bound to a key, and shows which they are', async () => {
    for (const type of ['service', 'browser', 'native']) {
      await json('add', `bound ${type}`, '--type', type, '--dpop', 'required')
      expect(await json<{ client: object }>('show', `bound ${type}`)).toMatchObject({ client: { dpop_required: true } })
      expect((await cli('show', `bound ${type}`)).out).toMatch(
        /^dpop +required: each of its tokens is bound to a key$/m,
      )
    }
    await addServiceClient(t, { name: 'free' })
    expect(await json<{ client: object }>('show', 'free')).toMatchObject({ client: { dpop_required: false } })
    expect((await cli('show', 'free')).out).not.toMatch(/^dpop/m)
    const { out } = await cli('list')
    expect(out).toMatch(/^CLIENT ID .* PROVES ITSELF BY +DPOP +CREATED$/m)
    expect(out).toMatch(/ bound native +native +enabled +- +required +\S+Z$/m)
    expect(out).toMatch(/ free +service +enabled +client_secret_basic +- +\S+Z$/m)
  })

  test('takes keys from standard input, and the tokens of a workload', async () => {
    const { publicKey } = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
      'sign',
      'verify',
    ])
    const stdin = JSON.stringify(await crypto.subtle.exportKey('jwk', publicKey))
    const keyed = await run(
      ['clients', 'add', 'keyed', '--type', 'service', '--auth', 'private_key_jwt', '--jwks', '-', '--json'],
      { env: t.env, stdin },
    )
    expect(JSON.parse(keyed.out)).toEqual({ client_id: expect.any(String) })
    const { client } = await json<{ client: object }>('show', 'keyed')
    expect(client).toMatchObject({ auth: 'private_key_jwt', jwks: { keys: [{ kty: 'EC', crv: 'P-256' }] } })
    const claims = ['--workload-claim', 'ref=refs/heads/main', '--workload-claim', 'environment=production, eu']
    const names = ['--workload-issuer', 'https://ci.example', '--workload-subject', 'repo:acme/shop']
    await json('add', 'pipeline', '--type', 'service', '--auth', 'workload', ...names, ...claims)
    expect(await json<{ client: object }>('show', 'pipeline')).toMatchObject({
      client: {
        workload: {
          issuer: 'https://ci.example',
          subject: 'repo:acme/shop',
          claims: { ref: 'refs/heads/main', environment: 'production, eu' },
        },
        secrets: [],
      },
    })
    expect((await cli('show', 'pipeline')).out).toContain('environment=production, eu')
  })

  test('warns of an audience that no person’s token has, and registers all the same', async () => {
    const addFor = async (name: string, ...args: string[]) => {
      const { code, out, err } = await cli('add', name, '--type', 'service', '--json', ...args)
      noteSecret(JSON.parse(out).client_secret)
      expect(code).toBe(0)
      return err
    }
    expect(await addFor('gate', '--audience', 'ordrs')).toMatch(
      /^claviger: registered, but no person’s token is for “ordrs”, .* “gate” cannot introspect them by it\n$/,
    )
    expect(await addFor('gate 2', '--audience', t.config.AUDIENCE[0] ?? '')).toBe('')
    expect(await addFor('writer', '--audience', 'ledgers', '--scope', 'write')).toBe('')
  })

  test.each<[string[], number, string]>([
    [['x'], 2, '--type must be one of service, browser, native'],
    [['x', '--type', 'browser', '--auth', 'client_secret_basic'], 2, '--auth is for services'],
    [['x', '--type', 'browser', '--origin', 'http://a/b'], 2, '--origin http://a/b: must be a plain origin'],
    [['x', '--type', 'service', '--jwks-uri', 'https://a.example'], 2, '--jwks-uri goes with private_key_jwt'],
    [['x', '--type', 'native', '--dpop', 'accepted'], 2, '--dpop must be required, or left out'],
    [['x', '--type', 'service', '--scope', ''], 0, ''],
    [['x', '--type', 'service'], 1, 'a client is called “x” already'],
    [['web', '--type', 'service'], 1, 'a client is called “web” already'],
    [
      ['y', '--type', 'service', '--auth', 'private_key_jwt', '--jwks', '/nowhere'],
      3,
      '--jwks cannot be read (ENOENT)',
    ],
    [
      ['y', '--type', 'native', '--access-token-seconds', '1h'],
      2,
      '--access-token-seconds must be a whole number from 5 to 3600',
    ],
  ])('%j exits with %i', async (args, code, message) => {
    const told = await cli('add', ...args)
    expect({ code: told.code, err: told.err }).toEqual({ code, err: expect.stringContaining(message) })
  })

  test('names every fault, and registers nothing', async () => {
    const faulty = [
      'add',
      'z',
      '--type',
      'service',
      '--scope',
      'account',
      '--audience',
      'ä',
      '--access-token-seconds',
      '1',
    ]
    const { code, err } = await cli(...faulty)
    expect(code).toBe(2)
    expect(err.trim().split('\n')).toHaveLength(3)
    expect((await cli('show', 'z')).code).toBe(3)
  })
})

test('show says what comes from the settings, which those of the servers need not be', async () => {
  const settings = {
    AUDIENCE: 'orders,stock',
    SCOPES: 'read',
    ACCESS_TOKEN_SECONDS: '120',
    SESSION_IDLE_SECONDS: '3600',
    SESSION_MAX_SECONDS: '7200',
  }
  const show = async (name: string) => (await run(['clients', 'show', name], { env: { ...t.env, ...settings } })).out
  await addServiceClient(t, { name: 'borrows' })
  expect(await show('borrows')).toMatch(/^audiences +orders, stock \(AUDIENCE of this terminal\)$/m)
  expect(await show('borrows')).toMatch(/^access token +120 s \(2 min; ACCESS_TOKEN_SECONDS of this terminal\)$/m)
  expect(await show('web')).toMatch(/^scopes +account, read \(SCOPES of this terminal\)$/m)
  expect(await show('web')).toMatch(/^sessions +end after 7200 s \(2 h; SESSION_MAX_SECONDS of this terminal\)/m)
  await addServiceClient(t, { name: 'owns', scopes: ['a'], audiences: ['x'], accessTokenSeconds: 60 })
  expect(await show('owns')).toMatch(/^audiences +x$/m)
  expect(await show('owns')).not.toContain('terminal')
})

test('list shows the built-in ones first, and the state of each', async () => {
  await using app = await createTestApp()
  const { clientId } = await addServiceClient(app, { name: 'stock' })
  const list = () => run(['clients', 'list'], { env: app.env })
  expect((await list()).out).toMatch(
    new RegExp(
      `^CLIENT ID .*\\nweb +web +browser +built in.*\\nnative +native +native +built in.*\\n${clientId} +stock +service +enabled +client_secret_basic +- +\\S+Z\\n$`,
    ),
  )
  await run(['clients', 'disable', 'stock'], { env: app.env })
  expect((await list()).out).toContain(`${clientId}  stock   service  disabled`)
})

test('a value that does not fit the terminal goes on below where it began', async () => {
  await addServiceClient(t, { name: 'narrow' })
  const { out } = await run(['clients', 'show', 'narrow'], { env: { ...t.env, NO_COLOR: '1' }, columns: 60 })
  expect(out).toMatch(/^secret {9}of \S+ \(\w+( \w+ ago)?\), good until\n {15}\S+ \(in 365 d\), not used yet\n/m)
  const coloured = await run(['clients', 'show', 'narrow'], { env: t.env, columns: 60 })
  expect(stripVTControlCharacters(coloured.out)).toMatch(/^ {15}\S+ \(in 365 d\), not used yet\n/m)
})

describe('disable', () => {
  test('ends the sessions of the client and no others; enabled again, people sign in anew', async () => {
    const { clientId } = await addPublicClient(t, { name: 'till', type: 'native' })
    const user = await register(t)
    const [own, other] = [await signIn(t, user, 'body', { client_id: clientId }), await signIn(t, user)]
    const told = await json('disable', 'till')
    expect(told).toMatchObject({ sessions_ended: 1, client: { client_id: clientId, disabled_at: expect.any(String) } })
    expect(await family(t, own.sid)).toMatchObject({ end_cause: 'client_disabled' })
    expect(await family(t, other.sid)).toMatchObject({ ended_at: null })
    await t.clients.reload()
    const refused = await t.login({ email: user.email, password: user.password, client_id: clientId })
    expect([refused.statusCode, refused.json().code]).toEqual([400, 'invalid_client'])
    expect((await cli('enable', 'till')).out).toBe('Enabled till: servers know it within five seconds.\n')
    expect((await cli('enable', 'till')).out).toBe('Nothing to do: till is enabled.\n')
    await t.clients.reload()
    await signIn(t, user, 'body', { client_id: clientId })
    expect(await events(t, clientId)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^client\.disabled by operator:/),
        expect.stringMatching(/^client\.enabled by operator:/),
      ]),
    )
  })

  test('ends what an interrupted one has left, and so does enabling', async () => {
    const { clientId } = await addPublicClient(t, { name: 'half', type: 'native' })
    const user = await register(t)
    const left = await signIn(t, user, 'body', { client_id: clientId })
    // As if the command had been killed after its first transaction.
    await t.db.updateTable('clients').set({ disabled_at: t.deps.clock() }).where('id', '=', clientId).execute()
    await cli('enable', 'half')
    expect(await family(t, left.sid)).toMatchObject({ end_cause: 'client_disabled' })
  })
})

describe('rotate-secret', () => {
  test('makes another; two count at most', async () => {
    const { clientId, secret } = await addServiceClient(t, { name: 'ledger' })
    const told = await json('rotate-secret', 'ledger')
    expect(told).toEqual({ client_id: clientId, client_secret: expect.stringMatching(/^cvs1_/) })
    expect(told.client_secret).not.toBe(secret)
    expect(await cli('rotate-secret', 'ledger')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/two secrets count already: --finish .* --drop-oldest /),
    })
    expect((await cli('show', 'ledger')).out.match(/^secret /gm)).toHaveLength(2)
    expect(await cli('rotate-secret', clientId, '--finish')).toMatchObject({
      code: 0,
      out: 'The newest secret of ledger alone counts from now on.\n',
    })
    expect((await cli('show', 'ledger')).out.match(/^secret /gm)).toHaveLength(1)
    await json('rotate-secret', 'ledger', '--compromised')
    expect((await cli('show', 'ledger')).out.match(/^secret /gm)).toHaveLength(1)
  })

  test.each<[string[], Partial<Outcome>]>([
    [['web'], { code: 1, err: expect.stringContaining('web is built in') }],
    [['nobody'], { code: 3, err: expect.stringContaining('there is no such client') }],
    [['web', '--finish', '--compromised'], { code: 2, err: expect.stringContaining('exclude each other') }],
  ])('%j is refused', async (args, outcome) => expect(await cli('rotate-secret', ...args)).toMatchObject(outcome))
})

test('remove asks, ends what the client was given, and frees the name', async () => {
  const { clientId } = await addPublicClient(t, { name: 'gone', type: 'native' })
  const { sid } = await signIn(t, await register(t), 'body', { client_id: clientId })
  expect(await cli('remove', 'gone')).toMatchObject({ code: 2, err: expect.stringContaining('confirm with --yes') })
  expect(await cli('remove', 'gone', '--yes')).toMatchObject({ code: 0, out: 'Removed gone; 1 session ended.\n' })
  expect(await family(t, sid)).toMatchObject({ end_cause: 'client_disabled' })
  expect((await cli('show', clientId)).code).toBe(3)
  await addPublicClient(t, { name: 'gone' })
  expect(await events(t, clientId)).toEqual(expect.arrayContaining([expect.stringContaining('client.removed')]))
})
