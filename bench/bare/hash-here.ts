// Loaded into the server ahead of everything (--import), for the control of the flood: passwords are then hashed in the
// server's own process, on the pool that makes signatures.
import { registerHooks } from 'node:module'
import { computeHere } from '../../src/credentials/passwords/argon2.ts'

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/passwords/hash-process.ts') ? next(import.meta.url, context) : next(specifier, context),
})

/** In place of the one in src/credentials/passwords/hash-process.ts. */
export const createHashProcess = () => ({ computeTag: computeHere, stop: () => {} })
