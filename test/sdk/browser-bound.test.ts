import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { account } from '../../sdk/browser/src/account.ts'
import { createClient } from '../../sdk/browser/src/index.ts'
import { forFile } from '../support/for-file.ts'
import { postJson } from '../support/post-json.ts'
import {
  answer,
  createDevice,
  createNetwork,
  deviceKey,
  loseAnswers,
  only,
  type Sent,
  signUp,
  startIssuer,
} from './browser-support.ts'

// Sessions of the browser package that are bound to a key of the caller's own, as native apps have it. The key that browsers
// keep: test/browser/bound.test.ts.

const { t, issuer } = await startIssuer()
forFile(t)
const ORDERS = 'https://orders.example'

const boundDevice = (key = deviceKey(), options = {}) => createDevice(issuer, { dpop: { key }, ...options })

/** What a request proves, verified by another implementation. */
async function proofOf({ headers }: Sent) {
  const { payload, protectedHeader } = await jwtVerify<{ htm: string; htu: string; ath?: string; nonce?: string }>(
    headers.get('dpop') ?? '',
    EmbeddedJWK,
    { typ: 'dpop+jwt' },
  )
  return { ...payload, header: protectedHeader, jkt: await calculateJwkThumbprint(protectedHeader.jwk ?? {}) }
}

describe('a bound session', () => {
  test('each request of the session has a proof of its own, and no other request has one', async () => {
    const key = deviceKey()
    const device = boundDevice(key)
    expect(device.client.dpop).toBeNull()
    const { email, password, user } = await signUp(device)
    expect(device.client.dpop).toEqual({ jkt: key.jkt, bound: true })
    const { client, network } = device
    const { me, sessions, changePassword } = account(client)
    expect(await me()).toMatchObject({ email })
    expect(await sessions()).toHaveLength(1)
    await changePassword({ currentPassword: password, newPassword: `another ${password}` })
    expect(await client.refresh()).toEqual(user)
    await client.fetch(`${issuer}/me?a=b#c`, { method: 'get' })
    await client.fetch(new Request(`${issuer}/me`, { headers: { 'x-a': 'b' } }))
    await client.logout()

    const proved = network.sent.filter(({ headers }) => headers.has('dpop'))
    expect(network.sent.filter((sent) => !proved.includes(sent)).map(({ path }) => path)).toEqual([
      '/register',
      '/logout',
    ])
    const proofs = await Promise.all(proved.map(proofOf))
    expect(proofs.map(({ htm, htu }) => `${htm} ${htu}`)).toEqual([
      `POST ${issuer}/login`,
      `GET ${issuer}/me`,
      `GET ${issuer}/sessions`,
      `POST ${issuer}/password`,
      `POST ${issuer}/refresh`,
      `GET ${issuer}/me`,
      `GET ${issuer}/me`,
    ])
    expect(new Set(proofs.map(({ jti }) => jti)).size).toBe(proofs.length)
    for (const [index, proof] of proofs.entries()) {
      const [scheme, token] = proved[index]?.headers.get('authorization')?.split(' ') ?? []
      expect(proof.jkt).toBe(key.jkt)
      expect(Object.keys(proof.header).toSorted()).toEqual(['alg', 'jwk', 'typ'])
      expect(Object.keys(proof.header.jwk ?? {}).toSorted()).toEqual(['crv', 'kty', 'x', 'y'])
      expect(Math.abs((proof.iat ?? 0) - Date.now() / 1000)).toBeLessThan(30)
      expect(proof.ath).toBe(token && createHash('sha256').update(token).digest('base64url'))
      expect(scheme).toBe(token && 'DPoP')
    }
  })

  test.for(['ES384', 'ES512', 'Ed25519', 'PS256', 'RS256'] as const)('by %s', async (alg) => {
    const key = deviceKey(alg)
    const { client } = boundDevice(key)
    const { user } = await signUp({ ...boundDevice(key), client })
    expect(await client.refresh()).toEqual(user)
    expect(client.dpop).toEqual({ jkt: key.jkt, bound: true })
  })

  test('members of a private key never get into a proof', async () => {
    const { jkt, publicJwk, ...key } = deviceKey()
    const device = boundDevice({
      ...key,
      jkt,
      publicJwk: async () => ({ ...(await publicJwk()), d: 'secret', ext: true }),
    })
    await signUp(device)
    const [sent] = device.network.to('/login')
    expect(Object.keys(decodeProtectedHeader(sent?.headers.get('dpop') ?? '').jwk ?? {})).toEqual([
      'crv',
      'kty',
      'x',
      'y',
    ])
  })

  test('what a thief copies is good for nothing without the key, and the owner goes on', async () => {
    const device = boundDevice()
    const { user } = await signUp(device)
    const token = await device.client.getAccessToken()
    const stolen = { refresh_token: device.storage.record().token }
    const bearer = await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${token}` } })
    expect(bearer.status).toBe(401)
    for (const client of ['without a key', boundDevice()]) {
      const thief = typeof client === 'string' ? createDevice(issuer) : client
      await thief.storage.set(
        `claviger_${issuer.replace(/[^\w.-]+/g, '_')}_native`,
        JSON.stringify({ token: stolen.refresh_token }),
      )
      expect(await thief.restart().ready).toBeNull()
      expect(thief.client).toMatchObject({ state: 'signed-out', cause: 'key-lost' })
      const held = thief.client.fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${token}` } })
      // A client that binds does not even try.
      if (client === 'without a key') expect((await held).status).toBe(401)
      else await expect(held).rejects.toMatchObject({ code: 'key_blocked', status: 0 })
      expect(thief.network.to('/me')).toHaveLength(client === 'without a key' ? 1 : 0)
    }
    expect((await postJson(`${issuer}/refresh`, stolen)).status).toBe(400)
    expect(await device.client.refresh()).toEqual(user)
  })

  test('with another key than that of the session, the state says so, and nothing is ended', async () => {
    const device = boundDevice()
    const { email, password, user } = await signUp(device)
    const { storage } = device
    const changes: unknown[] = []
    const other = createClient({ issuer, storage, dpop: { key: deviceKey() } })
    other.onChange((...change) => changes.push(change))
    expect(await other.ready).toBeNull()
    expect(changes).toEqual([['signed-out', null, 'key-lost']])
    await expect(other.getAccessToken()).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(await device.restart().ready).toEqual(user)
    expect(await other.login({ email, password })).toEqual(user)
    expect(other.dpop?.bound).toBe(true)
  })

  test('a lost answer is asked for again with the same Idempotency-Key and another proof', async () => {
    const device = boundDevice()
    const { user } = await signUp(device)
    let lost = 0
    device.network.interfere = only('/refresh', async (sent, forward) => {
      if (lost++ === 0) return await (loseAnswers(sent, forward) as Promise<Response>)
      return await forward()
    })
    expect(await device.client.refresh()).toEqual(user)
    const [first, second] = device.network.to('/refresh')
    expect(second?.headers.get('idempotency-key')).toBe(first?.headers.get('idempotency-key'))
    const ids = [first, second].map((sent) => decodeJwt(sent?.headers.get('dpop') ?? '').jti)
    expect(new Set(ids).size).toBe(2)
  })
})

describe('a session that began without a key', () => {
  test('goes on as it is, and the next sign-in binds', async () => {
    const device = createDevice(issuer)
    const { email, password, user } = await signUp(device)
    expect(device.client.dpop).toBeUndefined()
    const key = deviceKey()
    const { network, storage } = device
    network.sent.length = 0
    const bound = createClient({ issuer, storage, fetch: network.fetch, dpop: { key } })
    expect(await bound.ready).toEqual(user)
    expect(bound.dpop).toEqual({ jkt: key.jkt, bound: false })
    expect((await bound.fetch(`${issuer}/me`)).status).toBe(200)
    const [asked] = network.to('/me')
    expect(asked?.headers.get('authorization')).toMatch(/^Bearer /)
    expect(asked?.headers.has('dpop')).toBe(false)
    await bound.login({ email, password })
    expect(bound.dpop).toEqual({ jkt: key.jkt, bound: true })
  })
})

describe('where the access token goes', () => {
  test('a proof goes where the token goes, and nowhere else', async () => {
    const device = boundDevice(deviceKey(), { resources: [ORDERS] })
    await signUp(device)
    const { client, network } = device
    network.sent.length = 0
    network.interfere = answer(200)
    for (const url of [`${ORDERS}/a?b#c`, 'https://foreign.example/', `${ORDERS}.foreign.example/`])
      await client.fetch(url)
    await client.fetch(`${ORDERS}/own`, { headers: { authorization: 'Basic YTpi' } })
    expect(
      network.sent.map(({ headers }) => [headers.get('authorization')?.split(' ')[0], headers.has('dpop')]),
    ).toEqual([
      ['DPoP', true],
      [undefined, false],
      [undefined, false],
      ['Basic', false],
    ])
    expect(await proofOf(network.sent[0] as Sent)).toMatchObject({ htm: 'GET', htu: `${ORDERS}/a` })
  })

  test('a redirect is not followed with a proof that is for another URL, unless somebody wants that', async () => {
    const device = boundDevice(deviceKey(), { resources: [ORDERS] })
    await signUp(device)
    const { client, network } = device
    network.sent.length = 0
    network.interfere = answer(307, '', { location: `${ORDERS}/other` })
    await expect(client.fetch(`${ORDERS}/a`)).rejects.toMatchObject({ code: 'redirected', status: 307 })
    await expect(client.fetch(new Request(`${ORDERS}/a`))).rejects.toMatchObject({ code: 'redirected' })
    expect((await client.fetch(`${ORDERS}/a`, { redirect: 'manual' })).status).toBe(307)
    expect((await client.fetch(`${ORDERS}/a`, { redirect: 'follow' })).status).toBe(307)
    expect(network.sent).toHaveLength(4)
  })
})

describe('where a key cannot be used', () => {
  test('with no IndexedDB nobody is signed in, and nothing is sent', async () => {
    const device = createDevice(issuer, { dpop: true })
    await expect(device.client.ready).rejects.toMatchObject({ code: 'key_blocked', status: 0 })
    await expect(device.client.ready).rejects.toThrow('IndexedDB')
    expect(device.client).toMatchObject({ state: 'signed-out', cause: 'found', user: null, dpop: null })
    const login = device.client.login({ email: 'ada@example.com', password: 'a long phrase' })
    await expect(login).rejects.toMatchObject({ code: 'key_blocked' })
    expect(device.network.sent).toEqual([])
  })

  test('on a server that renders pages it says what it says without', async () => {
    const client = createClient({ issuer, dpop: true })
    expect(await client.ready).toBeNull()
    await expect(client.getAccessToken()).rejects.toMatchObject({ code: 'no_storage' })
    expect(client.dpop).toBeNull()
  })

  test('a key that refuses to sign is told at once, without a second try, and the session is kept', async () => {
    const key = deviceKey()
    let isLocked = false
    const sign: typeof key.sign = (bytes) => {
      if (isLocked) throw new Error('the person has not agreed')
      return key.sign(bytes)
    }
    let asked = 0
    const device = boundDevice({ ...key, sign: async (bytes) => (asked++, sign(bytes)) })
    const { user } = await signUp(device)
    asked = 0
    isLocked = true
    const refused = device.client.refresh()
    await expect(refused).rejects.toMatchObject({ code: 'key_blocked', message: /has not agreed/ })
    expect(asked).toBe(1)
    expect(device.client.state).toBe('signed-in')
    expect(device.network.to('/refresh')).toEqual([])
    isLocked = false
    expect(await device.client.refresh()).toEqual(user)
  })

  test('other requests go their way', async () => {
    const network = createNetwork()
    network.interfere = answer(200)
    const client = createClient({ issuer, storage: createDevice(issuer).storage, fetch: network.fetch, dpop: true })
    await client.ready.catch(() => {})
    await client.fetch(`${issuer}/public`)
    expect(network.sent.map(({ path, headers }) => [path, headers.get('authorization')])).toEqual([['/public', null]])
    await account(client).forgotPassword({ email: 'ada@example.com' })
  })
})
