import { pbkdf2, type ScryptOptions, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import bcrypt from 'bcrypt'
import type { Foreign } from './foreign.ts'

const computeScrypt = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt)
const computePbkdf2 = promisify(pbkdf2)

/** Computes the tag of a text as the system did that made the hash. All of them use libuv's thread pool. */
export async function computeForeignTag(text: string, foreign: Foreign): Promise<Buffer> {
  switch (foreign.scheme) {
    case 'bcrypt': {
      // The other names stand for the same function; of 2a, the library also repeats an old fault with long passwords.
      const salt = `$2b$${String(foreign.rounds).padStart(2, '0')}$${foreign.salt}`
      return Buffer.from((await bcrypt.hash(text, salt)).slice(-foreign.tag.length))
    }
    case 'scrypt': {
      const { logN, r, p, salt, tag } = foreign
      const N = 2 ** logN
      // What OpenSSL wants to be allowed, which is a little more than the algorithm needs.
      const maxmem = 128 * r * (N + p + 2) + 1024
      return await computeScrypt(text, Buffer.from(salt), tag.length, { N, r, p, maxmem })
    }
    case 'pbkdf2': {
      const { digest, iterations, salt, tag } = foreign
      return await computePbkdf2(text, Buffer.from(salt), iterations, tag.length, digest)
    }
  }
}
