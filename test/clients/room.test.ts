import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { builtInClients } from '../../src/clients/clients.ts'
import { roomForRights, sizeOfRights } from '../../src/clients/room.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { generateKey } from '../../src/keys/material.ts'
import { isReserved } from '../../src/tokens/claims.ts'
import { setClaims, setRoles } from '../../src/users/rights.ts'
import { keyHolder } from '../sessions/key-holder.ts'
import { bearer, family, granted, refresh, register, signIn, startApp, type User } from '../sessions/support.ts'
import type { TestApp } from '../support/app.ts'
import { forFile } from '../support/for-file.ts'
import { claimsOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'

const t = forFile(
  await startApp({
    ISSUER: 'http://auth.company.example.localhost:3000',
    AUDIENCE: 'https://api.example.com,orders,billing,a"quote\\in-it',
    SCOPES: 'orders:read,orders:write,billing:read,billing:write',
  }),
)
const everything = { audience: t.config.AUDIENCE }

/** As nothing but SQL can: past every check. */
async function put(user: User, rights: { roles?: string[]; claims?: Record<string, unknown> }): Promise<void> {
  const { roles, claims } = rights
  await t.db
    .updateTable('users')
    .set({ ...(roles && { roles }), ...(claims && { claims: JSON.stringify(claims) }) })
    .where('id', '=', user.id)
    .execute()
}

const logged = (): unknown[] => t.logs.filter(({ msg }) => String(msg).startsWith('an access token would be too large'))

async function counted(app: TestApp): Promise<number> {
  const { values } = await app.deps.metrics.tokensTooLarge.get()
  return values[0]?.value ?? 0
}

describe('a token that would be too large', () => {
  test('is not issued at a sign-in: the operator hears of it, and no session starts', async () => {
    const user = await register(t)
    await put(user, { claims: { note: 'x'.repeat(4000) } })
    const [lines, before] = [logged().length, await counted(t)]
    const answer = await t.login({ email: user.email, password: user.password })
    expect([answer.statusCode, answer.json().code]).toEqual([500, 'token_too_large'])
    expect(answer.headers['set-cookie']).toBeUndefined()
    const sessions = await t.db.selectFrom('families').select('id').where('user_id', '=', user.id).execute()
    expect(sessions).toEqual([])
    expect(logged().slice(lines)).toMatchObject([{ level: 'error', userId: user.id, most: 4096 }])
    expect(await counted(t)).toBe(before + 1)
    // It was the right password: nothing counts against it.
    await put(user, { claims: {} })
    await signIn(t, user)
  })

  test('is not issued at a refresh, and the token is not used up', async () => {
    const user = await register(t)
    const { token, sid } = await signIn(t, user)
    await put(user, { claims: { note: 'x'.repeat(4000) } })
    const answers = await Promise.all([refresh(t, 'body', token), refresh(t, 'body', token)])
    for (const answer of answers) expect([answer.statusCode, answer.json().code]).toEqual([500, 'token_too_large'])
    expect(await family(t, sid)).toMatchObject({ generation: 0, ended_at: null })
    await put(user, { claims: {} })
    expect((await bearer(t, (await refresh(t, 'body', token)).json().access_token)).statusCode).toBe(200)
  })

  test('is told by its length alone: more than the room, but not too much, is issued', async () => {
    const user = await register(t)
    const room = roomForRights(t.config, builtInClients(t.config))
    // The signature is a quarter of what the largest key would make.
    await put(user, { claims: { note: 'x'.repeat(room + 300) } })
    const { token, accessToken } = await signIn(t, user, 'body', everything)
    expect(accessToken.length).toBeLessThanOrEqual(4096)
    const renewed = await refresh(t, 'body', token)
    expect(granted(renewed)).toBeDefined()
    expect((await bearer(t, renewed.json().access_token)).statusCode).toBe(200)
  })
})

const text = fc.string({ unit: 'grapheme', maxLength: 400 })
const rights = fc.record({
  roles: fc.array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/), { maxLength: 50 }),
  claims: fc.dictionary(
    fc.stringMatching(/^[a-z]{1,20}$/),
    fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.array(text, { maxLength: 6 }), fc.boolean()),
    { maxKeys: 20 },
  ),
})

test('whatever is issued has at most 4096 bytes and is accepted by our own endpoints', async () => {
  const user = await register(t)
  const { token } = await signIn(t, user, 'body', everything)
  let current = token
  await fc.assert(
    fc.asyncProperty(rights, async (given) => {
      await put(user, JSON.parse(JSON.stringify(given).replaceAll('\\u0000', '')) as typeof given)
      const answer = await refresh(t, 'body', current)
      if (answer.statusCode === 500) return expect(answer.json().code).toBe('token_too_large')
      current = granted(answer)
      const { access_token: accessToken } = answer.json<{ access_token: string }>()
      expect(accessToken.length).toBeLessThanOrEqual(4096)
      expect(claimsOf(accessToken)).toMatchObject({ roles: given.roles })
      expect((await bearer(t, accessToken)).statusCode).toBe(200)
    }),
    { numRuns: 150 },
  )
})

test('whatever operators may set fits, with every scope and audience and the largest key', async () => {
  const user = await register(t)
  const bits = 4096
  const large = { ...(await generateKey(bits)), state: 'active' as const }
  // Of a key of 8192 bits, but for a signature of half its length: making one takes a minute.
  const missing = Math.ceil(((8192 - bits) / 8) * (4 / 3))
  const { keyring, hold } = createKeyring()
  hold([large])
  const { keyring: usual } = t.deps
  t.deps.keyring = keyring
  const room = roomForRights(t.config, builtInClients(t.config))
  try {
    await fc.assert(
      fc.asyncProperty(rights, async ({ roles, claims }) => {
        const given = JSON.parse(JSON.stringify({ ...claims, pad: '' }).replaceAll('\\u0000', '')) as Record<
          string,
          unknown
        >
        const left = room - sizeOfRights({ roles, claims: given })
        // Names that tokens use themselves are refused where they are set, and another test is about that.
        fc.pre(left >= 0 && !Object.keys(given).some(isReserved))
        await put(user, { roles: [], claims: {} })
        await setRoles(t.deps, byOperator(t.deps), user.id, roles)
        await setClaims(t.deps, byOperator(t.deps), user.id, { ...given, pad: 'x'.repeat(left) })
        // A bound token is longer than others.
        const { accessToken } = await signIn(t, user, 'body', everything, keyHolder(t).proof('/login'))
        expect(accessToken.length + missing).toBeLessThanOrEqual(4096)
        expect(accessToken.length + missing).toBeGreaterThan(4080)
      }),
      { numRuns: 40 },
    )
  } finally {
    t.deps.keyring = usual
  }
})

test('what is too much is refused where it is set; less than before never is', async () => {
  const user = await register(t)
  const many = Array.from({ length: 50 }, (_each, index) => `${index}-${'r'.repeat(60)}`)
  await expect(setRoles(t.deps, byOperator(t.deps), user.id, many)).rejects.toMatchObject({
    code: 'invalid_request',
    detail: expect.stringMatching(/at most \d+ bytes/),
  })
  await expect(setClaims(t.deps, byOperator(t.deps), user.id, { note: 'x'.repeat(3000) })).rejects.toMatchObject({
    code: 'invalid_request',
  })
  await put(user, { roles: many })
  expect((await setRoles(t.deps, byOperator(t.deps), user.id, (before) => before.slice(1))).after).toHaveLength(49)
  await expect(setClaims(t.deps, byOperator(t.deps), user.id, { team: 'blue' })).rejects.toMatchObject({
    code: 'invalid_request',
  })
})
