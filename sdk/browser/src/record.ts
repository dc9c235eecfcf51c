import { platform } from './platform.ts'
import type { Storage } from './types.ts'

/** A record of an older release may have been written by other rules. */
export const RELEASE = '0.1.0'

/**
 * What all tabs, and the next start, must know. In a browser it is nothing that a thief could use: the key alone is no
 * credential. Whoever holds the lock writes it.
 */
export interface Record {
  /** Grows with every sign-in, refresh and sign-out: of two of them the later is known. */
  version: number
  /** Until when the access token lives that somebody has; absent while nobody is signed in. Wall clock, milliseconds. */
  until?: number | undefined
  /** When the session ends by itself if nobody uses it. Wall clock, milliseconds. */
  ends?: number | undefined
  /** `version` of the sign-in: tells this session from the next. */
  since?: number | undefined
  /** `Idempotency-Key` of an exchange whose answer is not in. */
  key?: string | undefined
  /** The issuer asked not to be asked for so many milliseconds. */
  wait?: number | undefined
  /** When it said so. Wall clock, milliseconds: if that was wrong and has been set since, `wait` means nothing. */
  waitingSince?: number | undefined
  /** Not 0: signed out here, and the issuer has not confirmed it. */
  leaving?: number | undefined
  /** The issuer has said to this release that nobody is signed in. */
  none?: string | undefined
  /** The refresh token; never in a browser. */
  token?: string | undefined
}

export interface RecordStore {
  read(): Promise<Record>
  write(record: Record): Promise<void>
  /** @param since of the session that this tab has seen. */
  note(since: number): void
  /** This tab has seen the session, so its cookie is not gone because the browser was closed meanwhile. */
  hasSeen(record: Record): boolean
}

export function openRecord(name: string, storage?: Storage): RecordStore {
  const place = storage ?? webStorage('localStorage')
  const tab = webStorage('sessionStorage')
  return {
    read: async () => {
      const text = await place.get(name)
      try {
        return { version: 0, ...JSON.parse(text as string) }
      } catch {
        return { version: 0 }
      }
    },
    write: async (record) => {
      if (storage && !record.token) await storage.remove(name)
      else await place.set(name, JSON.stringify(record))
    },
    note: (since) => tab.set(name, `${since}`),
    hasSeen: ({ since }) => tab.get(name) === `${since}`,
  }
}

/** Where it is refused or full, this tab's memory, and a lost answer then costs what the grace allows. */
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
