import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { advanceKeys } from '../../src/keys/keys.ts'
import { fromPem, KeyRefused } from '../../src/keys/material.ts'
import { importKey, listKeys, rotateKeys } from '../../src/keys/operator.ts'
import { headerOf } from '../support/jwt.ts'
import { byOperator } from '../support/operation.ts'
import { DAY, keyLab, kidsOf, MINUTE } from './support.ts'

const pkcs8 = { format: 'pem', type: 'pkcs8' } as const
const rsa = (options: { modulusLength: number; publicExponent?: number } = { modulusLength: 2048 }) =>
  generateKeyPairSync('rsa', options)
const pemOf = (key = rsa()) => key.privateKey.export(pkcs8)

test('a planned rotation publishes a key now and signs with it a day later', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const [old] = kidsOf(service)
  const result = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  if (result.outcome !== 'scheduled') throw new Error(result.outcome)
  expect(result.activatesAt.getTime()).toBe(lab.now().getTime() + DAY)
  await service.reload()
  expect(kidsOf(service)).toEqual([old, result.next])
  expect(headerOf(await service.keyring.sign('at+jwt', {})).kid).toBe(old)

  lab.travel(DAY - 1)
  expect(await advanceKeys(lab.deps)).toEqual([])
  lab.travel(1)
  await advanceKeys(lab.deps)
  await service.reload()
  expect(headerOf(await service.keyring.sign('at+jwt', {})).kid).toBe(result.next)
  expect(kidsOf(service)).toEqual([result.next, old])
  lab.travel(DAY)
  await advanceKeys(lab.deps)
  await service.reload()
  expect(kidsOf(service)).toEqual([result.next])
})

test('a second planned rotation makes no other key, and says so', async () => {
  await using lab = await keyLab()
  await lab.start()
  const results = await lab.together(
    [1, 2, 3].map(() => () => rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })),
  )
  expect(results.map(({ outcome }) => outcome).toSorted()).toEqual([
    'already_scheduled',
    'already_scheduled',
    'scheduled',
  ])
  expect(new Set(results.map((result) => ('next' in result ? result.next : ''))).size).toBe(1)
  expect(await lab.keys()).toHaveLength(2)
})

test('a compromised key is gone at once and another one signs', async () => {
  await using lab = await keyLab()
  const service = await lab.start()
  const [old = ''] = kidsOf(service)
  const result = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  if (result.outcome !== 'replaced') throw new Error(result.outcome)
  expect(result).toMatchObject({ removed: [old], trusted: [], exposure: { replicas: 5, verifiers: 1200 } })
  await service.reload()
  expect(kidsOf(service)).toEqual([result.active])
  expect(service.keyring.publicKey(old)).toBeUndefined()
  expect(headerOf(await service.keyring.sign('at+jwt', {})).kid).toBe(result.active)
  expect((await lab.events()).slice(2)).toEqual([
    'key.compromised by operator:ada',
    'key.removed by operator:ada',
    'key.created by operator:ada',
    'key.activated by operator:ada',
  ])
})

test('the next key, which verifiers know already, takes the place of a compromised one', async () => {
  await using lab = await keyLab()
  await lab.start()
  const planned = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  const result = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  expect(result).toMatchObject({ outcome: 'replaced', active: 'next' in planned ? planned.next : '' })
  expect(await lab.keys()).toHaveLength(2)
})

test('what else is still trusted is said, and with all it is not', async () => {
  await using lab = await keyLab()
  const [first] = kidsOf(await lab.start())
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  lab.travel(DAY)
  await advanceKeys(lab.deps)
  expect(await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })).toMatchObject({ trusted: [first] })
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  const result = await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true, all: true })
  expect(result).toMatchObject({ outcome: 'replaced', trusted: [] })
  expect((await lab.keys()).filter(({ state }) => state !== 'removed')).toMatchObject([{ state: 'active' }])
})

test('operators who reach for the emergency together replace the key once', async () => {
  await using lab = await keyLab()
  await lab.start()
  const results = await lab.together(
    [1, 2, 3].map(() => () => rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })),
  )
  expect(results.map(({ outcome }) => outcome).toSorted()).toEqual(['already_replaced', 'already_replaced', 'replaced'])
  expect(await lab.keys()).toHaveLength(2)
  expect((await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })).outcome).toBe('already_replaced')
  lab.travel(MINUTE)
  expect((await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })).outcome).toBe('replaced')
})

test('when the secret is lost, everything can be replaced', async () => {
  await using lab = await keyLab()
  await lab.start()
  const serverKeys = [deriveServerKeys(randomBytes(32))] as const
  const changed = { ...lab.deps, serverKeys }
  expect((await rotateKeys(changed, byOperator(changed), { compromised: true, all: true })).outcome).toBe('replaced')
  expect((await lab.start({ serverKeys })).keyring.ready()).toBe(true)
})

test('a key imported before the first start is the first active key', async () => {
  await using lab = await keyLab()
  const { kid, state } = await importKey(lab.deps, byOperator(lab.deps), pemOf())
  expect(state).toBe('active')
  expect(kidsOf(await lab.start())).toEqual([kid])
})

test('a key is never taken in twice, not even after it was removed', async () => {
  await using lab = await keyLab()
  const pem = pemOf()
  const { kid } = await importKey(lab.deps, byOperator(lab.deps), pem)
  await expect(importKey(lab.deps, byOperator(lab.deps), pem)).rejects.toThrow(KeyRefused)
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  expect((await lab.keys()).find((key) => key.kid === kid)).toMatchObject({ state: 'removed', compromised: true })
  await expect(importKey(lab.deps, byOperator(lab.deps), pem)).rejects.toThrow(/already here, or was/)
  await importKey(lab.deps, byOperator(lab.deps), pemOf())
  await expect(importKey(lab.deps, byOperator(lab.deps), pemOf())).rejects.toThrow(/waiting to become active/)
})

test('lists keys with their next step and without secrets', async () => {
  await using lab = await keyLab()
  await lab.start()
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: true })
  lab.travel(1)
  await rotateKeys(lab.deps, byOperator(lab.deps), { compromised: false })
  const keys = await listKeys(lab.deps)
  expect(keys.map(({ state }) => state).toSorted()).toEqual(['active', 'next', 'removed'])
  expect(keys.find(({ state }) => state === 'removed')?.dueAt).toBeNull()
  expect(keys.find(({ state }) => state === 'next')?.dueAt?.getTime()).toBe(lab.now().getTime() + DAY)
  expect(JSON.stringify(keys)).not.toMatch(/sealed|private/)
})

test.each<[string, () => string, RegExp]>([
  ['1024 bits', () => pemOf(rsa({ modulusLength: 1024 })), /1024 bits/],
  ['2047 bits', () => pemOf(rsa({ modulusLength: 2047 })), /2047 bits/],
  ['8200 bits', () => bulky(8200), /8200 bits: more than 8192/],
  ['100 000 bits', () => bulky(100_000), /100000 bits/],
  // Not for its size.
  ['8192 bits that are no key', () => bulky(8192), /damaged/],
  ['exponent 3', () => pemOf(rsa({ modulusLength: 2048, publicExponent: 3 })), /exponent/],
  ['an elliptic curve', () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pkcs8), /needs RSA/],
  ['RSA-PSS', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey.export(pkcs8), /needs RSA/],
  [
    'an encrypted key',
    () => rsa().privateKey.export({ ...pkcs8, cipher: 'aes-256-cbc', passphrase: 'x' }),
    /encrypted/,
  ],
  ['a public key', () => rsa().publicKey.export({ format: 'pem', type: 'spki' }), /public key/],
  ['two keys', () => pemOf() + pemOf(), /more than one/],
  ['no key', () => 'hello', /not a private key/],
  ['nothing', () => '', /not a private key/],
])('refuses %s', async (_name, pem, message) => {
  await expect(fromPem(pem())).rejects.toThrow(KeyRefused)
  await expect(fromPem(pem())).rejects.toThrow(message)
})

/** Has the form of a private key of so many bits (RFC 8017 §A.1.2). A real one would take minutes to make. */
function bulky(bits: number): string {
  const number = (length: number): Buffer => {
    const bytes = Buffer.concat([Buffer.of(0, 0xc0), randomBytes(Math.floor(length / 8) - 1)])
    bytes[bytes.length - 1] = 1
    return der(0x02, bytes)
  }
  const half = number(bits / 2)
  const numbers = [
    der(0x02, Buffer.of(0)),
    number(bits),
    der(0x02, Buffer.of(1, 0, 1)),
    number(bits),
    ...Array(5).fill(half),
  ]
  return `-----BEGIN RSA PRIVATE KEY-----\n${der(0x30, Buffer.concat(numbers)).toString('base64')}\n-----END RSA PRIVATE KEY-----\n`
}

function der(tag: number, content: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  return Buffer.concat([Buffer.of(tag, 0x84), length, content])
}

test('refuses a key whose parts do not belong together', async () => {
  const [one, two] = [rsa().privateKey, rsa().privateKey]
  const der = one.export({ format: 'der', type: 'pkcs8' })
  const modulus = (key: typeof one) => Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url')
  modulus(two).copy(der, der.indexOf(modulus(one)))
  const mixed = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
  await expect(fromPem(mixed)).rejects.toThrow(/damaged|not a private key/)
})

test('takes PKCS #8 and PKCS #1', async () => {
  const key = rsa({ modulusLength: 3072 })
  const one = await fromPem(key.privateKey.export({ format: 'pem', type: 'pkcs1' }))
  const eight = await fromPem(pemOf(key))
  expect(one.kid).toBe(eight.kid)
  expect(one.kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
})
