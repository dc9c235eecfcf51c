import { platform } from './platform.ts'
import type { Storage } from './types.ts'

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
  /** The issuer asked not to be asked before. Wall clock, milliseconds. */
  notBefore?: number | undefined
  /** When it said so, by the same clock: if that was wrong and has been set, `notBefore` means nothing. */
  waitingSince?: number | undefined
  /** Signed out here, and the issuer has not confirmed it. */
  leaving?: boolean | undefined
  /** The refresh token; never in a browser. */
  token?: string | undefined
}

export interface RecordStore {
  read(): Promise<Record>
  write(record: Record): Promise<void>
  /** In a browser this tab keeps the version that its sign-in made, for as long as it is open. */
  noteSignIn(version: number): void
  /** Nothing has become of a sign-in in this tab yet. The cookie cannot be gone because the browser was closed meanwhile. */
  isFirst(record: Record): boolean
}

export function openRecord(name: string, storage?: Storage): RecordStore {
  const place = storage ?? webStorage('localStorage')
  const tab = webStorage('sessionStorage')
  return {
    read: async () => {
      const text = await place.get(name)
      try {
        return { version: 0, ...JSON.parse(text ?? '{}') }
      } catch {
        return { version: 0 }
      }
    },
    write: async (record) => {
      if (storage && !record.token) await storage.remove(name)
      else await place.set(name, JSON.stringify(record))
    },
    noteSignIn: (version) => tab.set(name, `${version}`),
    isFirst: ({ version }) => tab.get(name) === `${version}`,
  }
}

/** Where it is refused or full, this tab's memory, and a lost answer then costs what the grace allows. */
function webStorage(kind: 'localStorage' | 'sessionStorage') {
  let memory: string | undefined
  return {
    get: (name: string) => {
      try {
        return memory ?? platform[kind].getItem(name)
      } catch {
        return null
      }
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
