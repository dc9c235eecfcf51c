/** A hash that another system made. It is verified until its owner signs in, and then replaced by argon2id. */
export type Foreign = Bcrypt | Scrypt | Pbkdf2

interface Bcrypt {
  scheme: 'bcrypt'
  /** The exponent of two. */
  rounds: number
  /** 22 characters in the alphabet of bcrypt, as its tag, which has 31. */
  salt: string
  tag: Buffer
}

interface Scrypt {
  scheme: 'scrypt'
  /** The exponent of two of N. */
  logN: number
  r: number
  p: number
  salt: Buffer
  tag: Buffer
}

interface Pbkdf2 {
  scheme: 'pbkdf2'
  digest: Digest
  iterations: number
  salt: Buffer
  tag: Buffer
}

type Digest = keyof typeof DIGEST_BYTES
const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const

/** bcrypt reads no more of a password. */
export const BCRYPT_READS = 72

/** `2x` is not among them: it stands for hashes of a PHP library that confused letters beyond ASCII. */
const BCRYPT = /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{30}[.CGKOSWaeimquy26])$/
const SCRYPT = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([^$]*)\$([^$]*)$/
const PBKDF2 = /^\$pbkdf2-(sha1|sha256|sha512)\$i=(\d{1,9})\$([^$]*)\$([^$]*)$/
const BASE64 = /^[A-Za-z0-9+/]*$/

/** Whoever writes an import file must not be able to keep the server busy: each takes about a second of a slow core. */
const MOST = { bcryptRounds: 14, scryptBlocks: 2 ** 20, scryptBytes: 2 ** 27, iterations: 2_000_000 }
const SALT_BYTES = { least: 8, most: 128 }
const TAG_BYTES = { least: 16, most: 128 }

/**
 * Reads a hash in the form in which it is stored: bcrypt, or a PHC string of scrypt or PBKDF2.
 * @returns undefined if it is none of these, or costs more than a server can afford.
 */
export function parseForeign(text: string): Foreign | undefined {
  const foreign = readBcrypt(text) ?? readScrypt(text) ?? readPbkdf2(text)
  return foreign && isAffordable(foreign) ? foreign : undefined
}

function readBcrypt(text: string): Bcrypt | undefined {
  const [, rounds, salt, tag] = BCRYPT.exec(text) ?? []
  if (rounds === undefined || salt === undefined || tag === undefined) return undefined
  return { scheme: 'bcrypt', rounds: Number(rounds), salt, tag: Buffer.from(tag) }
}

function readScrypt(text: string): Scrypt | undefined {
  const [, ln, r, p, salt, tag] = SCRYPT.exec(text) ?? []
  const bytes = readBytes(salt, tag)
  return bytes && { scheme: 'scrypt', logN: Number(ln), r: Number(r), p: Number(p), ...bytes }
}

function readPbkdf2(text: string): Pbkdf2 | undefined {
  const [, digest, iterations, salt, tag] = PBKDF2.exec(text) ?? []
  const bytes = readBytes(salt, tag)
  if (!bytes) return undefined
  const length = DIGEST_BYTES[digest as Digest]
  // Beyond the length of the digest, each further piece of the tag costs all iterations again and proves nothing more.
  return {
    scheme: 'pbkdf2',
    digest: digest as Digest,
    iterations: Number(iterations),
    salt: bytes.salt,
    tag: bytes.tag.subarray(0, length),
  }
}

function readBytes(salt: string | undefined, tag: string | undefined): { salt: Buffer; tag: Buffer } | undefined {
  if (salt === undefined || tag === undefined || !BASE64.test(salt) || !BASE64.test(tag)) return undefined
  const bytes = { salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
  const within = ({ length }: Buffer, { least, most }: typeof SALT_BYTES) => length >= least && length <= most
  return within(bytes.salt, SALT_BYTES) && within(bytes.tag, TAG_BYTES) ? bytes : undefined
}

function isAffordable(foreign: Foreign): boolean {
  switch (foreign.scheme) {
    case 'bcrypt':
      return foreign.rounds >= 4 && foreign.rounds <= MOST.bcryptRounds
    case 'scrypt': {
      const { logN, r, p } = foreign
      const blocks = 2 ** logN * r
      return logN >= 1 && r >= 1 && p >= 1 && blocks * p <= MOST.scryptBlocks && 128 * blocks <= MOST.scryptBytes
    }
    case 'pbkdf2':
      return foreign.iterations >= 1 && foreign.iterations <= MOST.iterations
  }
}
