import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BOUND, binding, createBoundWorld, me, refreshed, reload, statuses } from './bound.ts'
import { eventually, launchChromium, patience, refreshCookie, signIn, user, withoutBrowser } from './support.ts'

// Where a key cannot be kept, is gone, or does not belong to the session; and where a proof must not go.

/** As somebody does who clears the storage of the site: the issuer, on another one, keeps its cookie. */
const forgetKeys = (page: Page) =>
  page.evaluate(`indexedDB.databases().then((all) => Promise.all(all.map(({ name }) => new Promise((resolve) => {
    indexedDB.deleteDatabase(name).onsuccess = resolve
  }))))`)

describe.skipIf(withoutBrowser)('keys and their obstacles', patience, () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  test.for([
    ['IndexedDB is missing', "Object.defineProperty(globalThis, 'indexedDB', { value: undefined })", 'no IndexedDB'],
    [
      'the browser refuses it',
      "IDBFactory.prototype.open = () => { throw new DOMException('The operation is insecure', 'SecurityError') }",
      'insecure',
    ],
    [
      'it cannot store keys',
      `const clone = (value) => { throw new DOMException('CryptoKey could not be cloned', 'DataCloneError') }
       IDBObjectStore.prototype.add = IDBObjectStore.prototype.put = clone`,
      'could not be cloned',
    ],
    [
      'it stores them as something else',
      `const { put } = IDBObjectStore.prototype
       IDBObjectStore.prototype.add = IDBObjectStore.prototype.put = function (pair, id) { return put.call(this, {}, id) }`,
      'was not kept',
    ],
    [
      'it is full',
      `const { add } = IDBObjectStore.prototype
       IDBObjectStore.prototype.add = function (...args) { const request = add.apply(this, args); this.transaction.abort(); return request }`,
      '',
    ],
    ['WebCrypto is missing', "Object.defineProperty(crypto, 'subtle', { value: undefined })", 'no WebCrypto'],
  ] as const)('%s: said, and nobody is signed in without a key', async ([, script, words]) => {
    await using world = await createBoundWorld(browser)
    await world.context.addInitScript(script)
    const page = await world.open()
    const outcome = (call: string) =>
      page.evaluate<[string, number, string]>(`${call}.catch((error) => [error.code, error.status, error.message])`)
    const blocked = ['key_blocked', 0, expect.stringContaining(words)]
    expect(await outcome('auth.ready')).toEqual(blocked)
    const given = JSON.stringify({ email: world.email, password: world.password })
    expect(await outcome(`auth.login(${given})`)).toEqual(blocked)
    expect(await outcome('auth.refresh()')).toEqual(blocked)
    expect(await page.evaluate('[auth.state, auth.user, auth.dpop]')).toEqual(['signed-out', null, null])
    expect(await page.evaluate("auth.fetch('/api').then(({ status }) => status)")).toBe(401)
    expect(world.line.passed).toEqual([])
  })

  // Safari has never opened some, and a frozen tab may keep the others waiting for its transaction.
  test.for([
    ['opening', 'IDBFactory.prototype.open = () => new EventTarget()'],
    [
      'a transaction',
      `const { transaction } = IDBDatabase.prototype
       IDBDatabase.prototype.transaction = function (...args) {
         const found = transaction.apply(this, args)
         found.addEventListener = () => {}
         return found
       }`,
    ],
  ] as const)('IndexedDB does not answer to %s: said, and nobody waits for good', async ([, script]) => {
    await using world = await createBoundWorld(browser)
    await world.context.addInitScript(script)
    const page = await world.open('/blank')
    const outcome = await page.evaluate(
      'begin(), auth.ready.catch((error) => [error.code, error.status, error.message])',
    )
    expect(outcome).toEqual(['key_blocked', 0, expect.stringContaining('does not answer')])
    expect(await page.evaluate('[auth.state, auth.user, auth.dpop]')).toEqual(['signed-out', null, null])
    expect(world.line.passed).toEqual([])
  })

  test('the storage is cleared: the state says that the key is lost, and a sign-in makes another', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    const before = await binding(page)
    await forgetKeys(page)
    expect(await refreshed(page), 'this page has it in memory').toBe(world.email)
    await reload(page)
    expect(await page.evaluate('changes')).toEqual([['signed-out', null, 'key-lost']])
    expect(await refreshCookie(world.context), 'the session lives').toBeDefined()
    expect(await page.evaluate('auth.getAccessToken().catch(({ code }) => code)')).toBe('invalid_grant')
    await signIn(world, page)
    const after = await binding(page)
    expect(after).toEqual(BOUND)
    expect(after?.jkt).not.toBe(before?.jkt)
    await reload(page)
    expect(await user(page)).toBe(world.email)
    expect(await binding(page)).toEqual(after)
  })

  test('a tab that has the lost key in memory follows to the new one when somebody signs in elsewhere', async () => {
    await using world = await createBoundWorld(browser)
    const old = await world.open()
    await signIn(world, old)
    await forgetKeys(old)
    const page = await world.open('/blank')
    await page.evaluate('begin(), auth.ready')
    await signIn(world, page)
    const { jkt } = (await binding(page)) ?? {}
    const token = await page.evaluate<string>('auth.getAccessToken()')
    await eventually(() => old.evaluate('auth.getAccessToken()')).toBe(token)
    expect(await me(world, old)).toBe(200)
    expect((await binding(old))?.jkt).toBe(jkt)
    expect(await refreshed(old)).toBe(world.email)
  })

  test('so does a refresh, whose key is another tab’s by now', async () => {
    await using world = await createBoundWorld(browser)
    const old = await world.open()
    await signIn(world, old)
    await forgetKeys(old)
    const page = await world.open('/blank')
    await page.evaluate('begin(), auth.ready')
    await signIn(world, page)
    expect(await refreshed(old)).toBe(world.email)
    expect(await binding(old)).toEqual(await binding(page))
  })

  test('a session from before goes on without a key, until somebody signs in', async () => {
    await using world = await createBoundWorld(browser)
    world.site.options = {}
    const page = await world.open()
    await signIn(world, page)
    world.site.options = { dpop: true }
    await reload(page)
    expect(await user(page)).toBe(world.email)
    expect(await binding(page)).toEqual({ ...BOUND, bound: false })
    expect(await me(world, page)).toBe(200)
    expect(world.line.to('/me')[0]?.headers.authorization).toMatch(/^Bearer ey/)
    await signIn(world, page)
    expect(await binding(page)).toEqual(BOUND)
  })

  test('a redirect is not followed with the proof', async () => {
    await using world = await createBoundWorld(browser)
    const page = await world.open()
    await signIn(world, page)
    world.line.disturb('/me', async (_forward, response) => {
      const cors = { 'access-control-allow-origin': world.site.origin, 'access-control-allow-credentials': 'true' }
      response.writeHead(307, { ...cors, location: '/elsewhere' }).end()
    })
    expect(await me(world, page)).toBe('redirected')
    expect(world.line.to('/elsewhere')).toEqual([])
    expect(world.line.to('/me')).toHaveLength(1)
  })

  test('a service on another origin gets a proof for itself, with its own nonce; others get none', async () => {
    await using world = await createBoundWorld(browser)
    world.site.options = { dpop: true, resources: ['https://orders.example'] }
    const asked: [string, string | undefined, Record<string, unknown> | undefined][] = []
    // Answered by the test itself: both origins exist in the browser only.
    for (const host of ['https://orders.example', 'https://foreign.example']) {
      await world.context.route(`${host}/**`, async (route) => {
        const { authorization, dpop } = await route.request().allHeaders()
        const proof =
          dpop === undefined ? undefined : JSON.parse(Buffer.from(dpop.split('.')[1] ?? '', 'base64url').toString())
        asked.push([route.request().url(), authorization?.split(' ')[0], proof])
        const cors = {
          'access-control-allow-origin': '*',
          'access-control-allow-headers': 'authorization, dpop',
          'access-control-expose-headers': 'dpop-nonce, www-authenticate',
        }
        if (proof === undefined || proof.nonce === 'theirs')
          await route.fulfill({ status: 200, headers: cors, body: '{}' })
        else {
          const challenge = { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': 'theirs' }
          await route.fulfill({ status: 401, headers: { ...cors, ...challenge } })
        }
      })
    }
    const page = await world.open()
    await signIn(world, page)
    for (const url of ['https://orders.example/a?b', 'https://foreign.example/', 'https://orders.example/c'])
      expect(await page.evaluate(`auth.fetch('${url}').then(({ status }) => status)`)).toBe(200)
    const orders = { htm: 'GET', ath: expect.any(String), jti: expect.any(String), iat: expect.any(Number) }
    expect(asked).toEqual([
      ['https://orders.example/a?b', 'DPoP', { ...orders, htu: 'https://orders.example/a' }],
      ['https://orders.example/a?b', 'DPoP', { ...orders, htu: 'https://orders.example/a', nonce: 'theirs' }],
      ['https://foreign.example/', undefined, undefined],
      ['https://orders.example/c', 'DPoP', { ...orders, htu: 'https://orders.example/c', nonce: 'theirs' }],
    ])
    expect(statuses(world, '/refresh').slice(1)).toEqual([])
  })

  test('the code for it is loaded by those alone who want it; where it does not come, it is asked for again', async () => {
    await using world = await createBoundWorld(browser)
    let isOffline = true
    const loads: string[] = []
    await world.context.route(/prover/, async (route) => {
      loads.push(route.request().url())
      await (isOffline ? route.abort() : route.continue())
    })
    const page = await world.open()
    expect(await page.evaluate('auth.state')).toBe('unreachable')
    expect(await page.evaluate('auth.ready.catch(({ code }) => code)')).toBe('network')
    const given = JSON.stringify({ email: world.email, password: world.password })
    expect(await page.evaluate(`auth.login(${given}).catch(({ code }) => code)`)).toBe('network')
    expect(world.line.passed, 'nothing goes out without its proof').toEqual([])
    // What needs none does not wait for it: else nobody could sign out in an app whose files have been replaced.
    await page.evaluate('auth.logout()')
    expect(world.line.passed.map(({ path }) => path)).toEqual(['/logout'])
    await world.context.route('https://foreign.example/**', (route) =>
      route.fulfill({ status: 204, headers: { 'access-control-allow-origin': '*' } }),
    )
    expect(await page.evaluate("auth.fetch('https://foreign.example/').then(({ status }) => status)")).toBe(204)
    isOffline = false
    await signIn(world, page)
    expect(await binding(page)).toEqual(BOUND)
    loads.length = 0
    world.site.options = {}
    await (await world.open()).close()
    expect(loads).toEqual([])
  })
})
