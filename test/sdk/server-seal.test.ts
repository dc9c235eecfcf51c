import { describe, expect, test } from 'vitest'
import { fromUtf8, toUtf8 } from '../../sdk/server/src/bytes.ts'
import { type Held, pack, unpack } from '../../sdk/server/src/held.ts'
import { createSeal, sealedLength } from '../../sdk/server/src/seal.ts'
import { readSecrets } from '../../sdk/server/src/secrets.ts'
import { makeSecret } from './server-support.ts'

const [old, current] = [makeSecret(), makeSecret()]
const seal = (secrets: string | string[], purpose = 'a site') => createSeal(readSecrets(secrets), purpose)
const text = async (opened: ReturnType<ReturnType<typeof seal>['open']>) => {
  const found = await opened
  return found && fromUtf8(found.plain)
}

describe('a sealed value', () => {
  test('opens where it was sealed, and shows nothing of what it holds', async () => {
    const sealed = await seal(current).seal(toUtf8('rt1_a token'), 'a.b')
    expect(sealed).toMatch(/^[\w-]+$/)
    expect(atob(sealed.replaceAll('-', '+').replaceAll('_', '/'))).not.toContain('rt1_')
    expect(sealed.length).toBe(sealedLength(11))
    expect(await text(seal(current).open(sealed, 'a.b'))).toBe('rt1_a token')
    expect(await seal(current).seal(toUtf8('rt1_a token'), 'a.b'), 'never twice the same').not.toBe(sealed)
  })

  test('is refused with any of its characters changed, cut, or added to', async () => {
    const { seal: make, open } = seal(current)
    const sealed = await make(toUtf8('text'), 'a.b')
    for (let at = 0; at < sealed.length; at++) {
      const other = sealed[at] === 'A' ? 'B' : 'A'
      expect(await open(sealed.slice(0, at) + other + sealed.slice(at + 1), 'a.b'), `character ${at}`).toBeUndefined()
      expect(await open(sealed.slice(0, at), 'a.b'), `${at} characters`).toBeUndefined()
    }
    for (const wrong of [
      `${sealed}A`,
      `${sealed}AAAA`,
      `${sealed}=`,
      `${sealed} `,
      `é${sealed}`,
      '',
      '%',
      sealed + sealed,
    ])
      expect(await open(wrong, 'a.b'), wrong).toBeUndefined()
  })

  test('is refused under the name of another cookie, for another site, and with another secret', async () => {
    const sealed = await seal(current).seal(toUtf8('text'), 'a.b')
    expect(await seal(current).open(sealed, 'a.c')).toBeUndefined()
    expect(await seal(current, 'another site').open(sealed, 'a.b')).toBeUndefined()
    expect(await seal(makeSecret()).open(sealed, 'a.b')).toBeUndefined()
  })

  test('outlives its secret being replaced, as long as that stays in the list', async () => {
    const before = await seal(old).seal(toUtf8('text'), 'a.b')
    expect(await text(seal([current, old]).open(before, 'a.b'))).toBe('text')
    expect(await text(seal(`${current},${old}`).open(before, 'a.b'))).toBe('text')
    const after = await seal([current, old]).seal(toUtf8('text'), 'a.b')
    expect(await seal(old).open(after, 'a.b'), 'the first of the list seals').toBeUndefined()
    expect(await seal(current).open(before, 'a.b')).toBeUndefined()
  })
})

describe('secrets', () => {
  test.each([
    ['short', 'c2hvcnQ='],
    ['no base64', 'a phrase of several words, with more of them than there need be'],
    ['one byte, repeated', Buffer.alloc(32, 7).toString('base64')],
    ['a list with an empty entry', `${makeSecret()},`],
  ])('%s are refused, and not shown', (_name, secret) => {
    expect(() => readSecrets(secret)).toThrow(TypeError)
    expect(() => readSecrets(secret)).toThrow(/secret(, entry \d,)? (must be|is not random).*openssl rand -base64 32/)
    expect(() => readSecrets(secret)).not.toThrow(secret.slice(0, 8))
  })

  test('base64 and base64url of the same bytes are the same', async () => {
    const bytes = Buffer.concat([Buffer.from([251, 255, 191]), Buffer.from(makeSecret(), 'base64')])
    const sealed = await seal(bytes.toString('base64')).seal(toUtf8('text'), 'a')
    expect(await text(seal(bytes.toString('base64url')).open(sealed, 'a'))).toBe('text')
  })
})

test('what a cookie holds comes out of it as it went in', () => {
  const part = (bytes: number) => Buffer.alloc(bytes, 'a"ü').toString('base64url')
  const held: Held = {
    refreshToken: `rt1_${part(69)}`,
    accessToken: [part(70), part(400), part(256)].join('.'),
    user: { id: crypto.randomUUID(), email: 'zoë@example.com', email_verified: true, roles: ['clerk'] },
    life: 600_000,
    until: 1_800_000_000_000,
    ends: 1_900_000_000_000,
    remember: true,
  }
  expect(unpack(pack(held))).toEqual(held)
  expect(pack(held).length).toBeLessThan(held.accessToken.length * 0.75 + 420)
  expect(() => pack({ ...held, accessToken: 'a.b!.c' })).toThrow('not one of Claviger')
})
