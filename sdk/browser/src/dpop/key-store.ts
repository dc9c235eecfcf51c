import { inTransaction, openDatabase } from './indexed-db.ts'

const ID = 'dpop'

interface KeyPair {
  publicKey: CryptoKey
  privateKey: CryptoKey
}

/** Safari has opened databases without ever answering, and a frozen tab may keep the others waiting for its transaction. */
const LONGEST_MS = 10_000

/**
 * The key pair of all tabs: whichever of them comes first makes it. Scripts can use its private half, and none can read it.
 * @throws Error of whatever speaks against it: no IndexedDB, a browser that refuses it, does not answer or cannot store keys, a
 * full disk …
 */
export function sharedKeyPair(name: string): Promise<KeyPair> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('IndexedDB does not answer')), LONGEST_MS)
    findOrMake(name)
      .then(resolve, reject)
      .finally(() => clearTimeout(timer))
  })
}

async function findOrMake(name: string): Promise<KeyPair> {
  const database = await openDatabase(name)
  try {
    const found = await inTransaction(database, 'readonly', (store) => store.get(ID))
    if (isKeyPair(found)) return found
    // Before the transaction that writes: one that has nothing to do ends while the key is being made.
    const made = await makeKeyPair()
    let failure: Error | undefined
    try {
      // `add` fails if another tab was quicker. What is no key pair is in nobody's use.
      await inTransaction(database, 'readwrite', (store) => store[found === undefined ? 'add' : 'put'](made, ID))
    } catch (error) {
      failure = error as Error
    }
    // Read back, since a session must not be bound to a key that is not kept.
    const kept = await inTransaction(database, 'readonly', (store) => store.get(ID))
    if (!isKeyPair(kept)) throw failure ?? new Error('a key was not kept')
    return kept
  } finally {
    // An open database would be in the way of whoever deletes it.
    database.close()
  }
}

function makeKeyPair(): Promise<KeyPair> {
  if (!globalThis.crypto?.subtle) throw new Error('there is no WebCrypto')
  return crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
}

/** Some browsers have given keys back as empty objects. */
const isKeyPair = (found: unknown): found is KeyPair => (found as KeyPair | undefined)?.privateKey instanceof CryptoKey
