import { platform } from './platform.ts'
import type { Storage } from './types.ts'

/** Stored with the record, because other releases may have written it by other rules. */
export const RELEASE = '0.1.0'

/**
 * What all tabs and the next start must know. In a browser it holds nothing that a thief could use: the key alone is no
 * credential. Written only under the lock.
 */
export interface Record {
  /** Grows with every sign-in, refresh and sign-out, so that it is known which of two came later. */
  version: number
  /** When the present access token expires; absent while nobody is signed in. Wall clock, milliseconds. */
  until?: number | undefined
  /** When the session ends unless it is used. Wall clock, milliseconds. */
  ends?: number | undefined
  /** `version` of the sign-in, which tells this session from the next; a little less if a refresh found the session. */
  since?: number | undefined
  /** `Idempotency-Key` of an exchange whose answer has not arrived. */
  key?: string | undefined
  /** For how many milliseconds the issuer asked not to be asked again. */
  wait?: number | undefined
  /** When it said so. Wall clock, milliseconds; if the clock was set since, `wait` is ignored. */
  waitingSince?: number | undefined
  /** If not 0, the user has signed out here and the issuer has not confirmed it. */
  leaving?: number | undefined
  /** The release to which the issuer has said that nobody is signed in. */
  none?: string | undefined
  /** The refresh token; never in a browser. */
  token?: string | undefined
}

export interface RecordStore {
  read(): Promise<Record>
  write(record: Record): Promise<void>
  /** @param since of the session that this tab has seen. */
  note(since: number): void
  /** Whether this tab has seen the session: then its cookie is not gone because the browser was closed. */
  hasSeen(record: Record): boolean
}

export function openRecord(name: string, storage?: Storage): RecordStore {
  const place = storage ?? webStorage('localStorage')
  const tab = webStorage('sessionStorage')
  return {
    read: async () => {
      let record: Partial<Record> | undefined
      const text = await place.get(name)
      try {
        record = JSON.parse(text as string)
      } catch {}
      return { version: 0, ...record }
    },
    write: async (record) => {
      if (storage && !record.token) await storage.remove(name)
      else await place.set(name, JSON.stringify(record))
    },
    note: (since) => tab.set(name, `${since}`),
    hasSeen: ({ since }) => tab.get(name) === `${since}`,
  }
}

/**
 * Falls back to this tab's memory if storage is refused or full. A lost answer can then only be retried within the
 * grace.
 */
function webStorage(kind: 'localStorage' | 'sessionStorage') {
  let memory: string | undefined
  return {
    get: (name: string) => {
      try {
        return memory ?? platform[kind].getItem(name)
      } catch {}
    },
    set: (name: string, value: string) => {
      try {
        platform[kind].setItem(name, value)
        memory = undefined
      } catch {
        memory = value
      }
    },
  }
}
