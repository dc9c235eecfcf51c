interface Asked<T, Event extends string> {
  readonly result: T
  readonly error: Error | null
  addEventListener(type: Event, listener: () => void): void
}

export interface Store {
  get(id: string): Asked<unknown, never>
  /** Fails if there is one. */
  add(value: unknown, id: string): Asked<unknown, never>
  put(value: unknown, id: string): Asked<unknown, never>
}

interface Transaction {
  readonly error: Error | null
  objectStore(name: string): Store
  addEventListener(type: 'complete' | 'abort', listener: () => void): void
}

export interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: 'readonly' | 'readwrite', options: { durability: 'strict' }): Transaction
  close(): void
}

/** What is used here of what browsers have and others lack. */
const platform = globalThis as unknown as {
  indexedDB?: { open(name: string, version: number): Asked<Database, 'upgradeneeded' | 'success' | 'error'> }
}

const STORE = 'keys'

/** @throws Error if there is none, or the browser refuses it. */
export function openDatabase(name: string): Promise<Database> {
  return new Promise((resolve, reject) => {
    const { indexedDB } = platform
    if (!indexedDB) throw new Error('there is no IndexedDB')
    const request = indexedDB.open(name, 1)
    request.addEventListener('upgradeneeded', () => request.result.createObjectStore(STORE))
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error ?? new Error('IndexedDB is refused')))
  })
}

/** Resolves once the transaction is over. */
export function inTransaction<T>(
  database: Database,
  mode: 'readonly' | 'readwrite',
  work: (store: Store) => { result: T },
): Promise<T> {
  return new Promise((resolve, reject) => {
    // On disk before a session is bound to it: a power cut may leave the cookie, and must leave the key.
    const transaction = database.transaction(STORE, mode, { durability: 'strict' })
    const request = work(transaction.objectStore(STORE))
    transaction.addEventListener('complete', () => resolve(request.result))
    transaction.addEventListener('abort', () => reject(transaction.error ?? new Error('IndexedDB gave up')))
  })
}
