import { pbkdf2Sync, scryptSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { computeHere } from '../../../src/credentials/passwords/argon2.ts'
import { parseForeign } from '../../../src/credentials/passwords/foreign.ts'
import { createHashProcess } from '../../../src/credentials/passwords/hash-process.ts'
import { createPasswordHasher } from '../../../src/credentials/passwords/hasher.ts'
import { storedForm as storedFormOf } from '../../../src/credentials/passwords/imported.ts'
import { createLog } from '../../../src/log.ts'

const PASSWORD = 'four quiet otters hum'
const unpadded = (bytes: Buffer) => bytes.toString('base64').replaceAll('=', '')
const salt = Buffer.from('salt of sixteen!')
const storedForm = (hash: string) => storedFormOf(hash, { ARGON2_MEMORY_KIB: 19_456, ARGON2_PASSES: 2 })
const argon2id = (memoryKib: number, passes: number) =>
  `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$${unpadded(salt)}$${unpadded(Buffer.alloc(32))}`

/** Of other programs: Openwall's crypt_blowfish, RFC 7914 §12, passlib. */
const KNOWN: [string, string, string][] = [
  ['bcrypt 2a', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
  ['bcrypt 2y', 'U*U*', '$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK'],
  ['bcrypt 2b', 'U*U*U', '$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a'],
  [
    'scrypt',
    'pleaseletmein',
    '$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw',
  ],
  [
    'PBKDF2 of passlib',
    'password',
    '$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44',
  ],
]

const hasher = createPasswordHasher({ memoryKib: 64, passes: 1, concurrency: 1, queue: 8 })

describe('hashes of other systems', () => {
  test.each(KNOWN)('%s', async (_name, password, hash) => {
    const stored = storedForm(hash) ?? ''
    expect(parseForeign(stored)).toBeDefined()
    expect(await hasher.verify(stored, password)).toBe(true)
    expect(await hasher.verify(stored, `${password}!`)).toBe(false)
    expect(hasher.needsRehash(stored, password)).toBe(true)
  })

  test.each([
    ['sha1', 20],
    // As Keycloak writes it: longer than the digest.
    ['sha1', 64],
    ['sha256', 64],
    ['sha512', 64],
  ] as const)('PBKDF2 with %s and a tag of %i bytes', async (digest, length) => {
    const tag = pbkdf2Sync(PASSWORD, salt, 10, length, digest)
    const hash = storedForm(`$pbkdf2-${digest}$i=10,l=${length}$${unpadded(salt)}$${unpadded(tag)}`) ?? ''
    expect(await hasher.verify(hash, PASSWORD)).toBe(true)
    expect(await hasher.verify(hash, `${PASSWORD}!`)).toBe(false)
  })

  test('are computed in the process that hashes passwords, too', async () => {
    const there = createHashProcess({ threads: 2, env: {}, log: createLog({ LOG_LEVEL: 'fatal' }) })
    try {
      const tag = scryptSync(PASSWORD, salt, 32, { N: 16, r: 8, p: 1 })
      for (const hash of [KNOWN[0]?.[2] ?? '', `$scrypt$ln=4,r=8,p=1$${unpadded(salt)}$${unpadded(tag)}`]) {
        const foreign = parseForeign(hash)
        if (!foreign) throw new Error(hash)
        const tags = [there.computeTag, computeHere].map((compute) => compute(PASSWORD, foreign, foreign.tag.length))
        const [one, two] = await Promise.all(tags)
        expect(one).toEqual(two)
      }
    } finally {
      there.stop()
    }
  })

  test.each([
    ['nothing', ''],
    ['plain text', 'secret'],
    ['bcrypt 2x, whose library confused letters', '$2x$05$/OK.fbVrR/bpIqNJ5ianF.CE5elHaaO4EbggVDjb8P19RukzXSM3e'],
    ['bcrypt of too many rounds', '$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['bcrypt of too few', '$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['bcrypt that is cut', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe'],
    ['bcrypt with bits that no tag has', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeX'],
    ['scrypt of a gigabyte', `$scrypt$ln=30,r=8,p=1$${unpadded(salt)}$${unpadded(salt)}`],
    ['scrypt of much memory', `$scrypt$ln=18,r=8,p=1$${unpadded(salt)}$${unpadded(salt)}`],
    ['scrypt of much time', `$scrypt$ln=14,r=8,p=9$${unpadded(salt)}$${unpadded(salt)}`],
    ['scrypt of no work', `$scrypt$ln=0,r=8,p=1$${unpadded(salt)}$${unpadded(salt)}`],
    ['PBKDF2 of too many iterations', `$pbkdf2-sha256$i=2000001$${unpadded(salt)}$${unpadded(salt)}`],
    ['PBKDF2 of none', `$pbkdf2-sha256$i=0$${unpadded(salt)}$${unpadded(salt)}`],
    ['PBKDF2 with MD5', `$pbkdf2-md5$i=10$${unpadded(salt)}$${unpadded(salt)}`],
    ['a salt of seven bytes', `$pbkdf2-sha256$i=10$${unpadded(salt.subarray(0, 7))}$${unpadded(salt)}`],
    ['a tag of 15', `$pbkdf2-sha256$i=10$${unpadded(salt)}$${unpadded(salt.subarray(0, 15))}`],
    ['argon2i', '$argon2i$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
    ['argon2id of much memory', argon2id(2 ** 18 + 1, 1)],
    ['argon2id of much time', argon2id(2 ** 18, 5)],
    ['argon2id of little memory and much time', argon2id(19_456, 54)],
  ])('%s is not taken in', (_name, hash) => {
    expect(storedForm(hash)).toBeUndefined()
  })
})

describe('the traps of bcrypt', () => {
  /** Of seventy-two times `a`, of which bcrypt reads all. */
  const long = 'a'.repeat(72)
  const hash = '$2b$05$CCCCCCCCCCCCCCCCCCCCC.'
  const hashed = async (text: string) => {
    const foreign = parseForeign(`${hash}${'.'.repeat(31)}`)
    if (!foreign) throw new Error(hash)
    return `${hash}${(await computeHere(text, foreign, 31)).toString()}`
  }

  test('beyond 72 bytes it reads nothing: such a password is right as it was, and keeps its hash', async () => {
    const stored = await hashed(`${long}bc`)
    expect(await hasher.verify(stored, `${long}bc`)).toBe(true)
    expect(await hasher.verify(stored, `${long}typo`)).toBe(true)
    expect(hasher.needsRehash(stored, `${long}typo`)).toBe(false)
    expect(hasher.needsRehash(stored, long)).toBe(true)
    // In bytes, not in characters.
    expect(hasher.needsRehash(stored, 'ä'.repeat(37))).toBe(false)
  })

  test('a zero character ends nothing, and is in no password', async () => {
    const stored = await hashed('secret')
    expect(await hasher.verify(stored, 'secret')).toBe(true)
    expect(await hasher.verify(stored, 'secret\0')).toBe(false)
    expect(await hasher.verify(stored, 'secret\0more')).toBe(false)
    // Nor may it be set here: the hash of another system does not bring it in.
    expect(await hasher.verify(await hashed('secret\0more'), 'secret\0more')).toBe(false)
  })

  test('text that is not well-formed is never right', async () => {
    expect(await hasher.verify(await hashed('\ufffd'), '\ud800')).toBe(false)
  })
})

test('argon2id is taken in as it is, padding aside', async () => {
  const stored = await hasher.hash(PASSWORD)
  expect(storedForm(stored)).toBe(stored)
  expect(storedForm(`${stored}=`)).toBe(stored)
})

test('argon2id may cost about a second, or as much as hashes that are made here', () => {
  const dear = argon2id(2 ** 20, 3)
  expect(storedForm(argon2id(2 ** 18, 4))).toBeDefined()
  expect(storedForm(dear)).toBeUndefined()
  expect(storedFormOf(dear, { ARGON2_MEMORY_KIB: 2 ** 20, ARGON2_PASSES: 3 })).toBe(dear)
  expect(storedFormOf(dear, { ARGON2_MEMORY_KIB: 2 ** 20, ARGON2_PASSES: 2 })).toBeUndefined()
})
