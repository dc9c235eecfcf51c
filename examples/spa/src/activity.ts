import type { DemoConfig } from './config.ts'
import { describe, type Tone } from './describe.ts'

export interface Entry {
  id: string
  /** Milliseconds since 1970. */
  time: number
  tab: string
  /** Who sent the request: a page in this browser, or one of the two that the play is about. */
  actor: 'page' | 'phone' | 'thief'
  tone: Tone
  text: string
  /** As in `POST /refresh`. */
  request: string
  /** undefined: there was no answer. */
  status?: number | undefined
  ms?: number | undefined
}

export type Activity = ReturnType<typeof createActivity>

/** What the tabs of this browser have asked the servers, newest first. Tabs tell each other. */
export function createActivity(tab: string, config: DemoConfig) {
  const channel = new BroadcastChannel('claviger-demo')
  const entries: Entry[] = []
  const listeners = new Set<(entry: Entry) => void>()

  const keep = (entry: Entry): void => {
    entries.unshift(entry)
    entries.length = Math.min(entries.length, 100)
    for (const listener of listeners) listener(entry)
  }
  channel.addEventListener('message', ({ data }: MessageEvent<Entry>) => keep(data))

  const add = (entry: Omit<Entry, 'id' | 'time' | 'tab'>): void => {
    const complete = { ...entry, id: crypto.randomUUID(), time: Date.now(), tab }
    keep(complete)
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has none
    channel.postMessage(complete)
  }

  /** `window.fetch`, with a note of each request. No header and no body is looked at. */
  const watchedFetch: typeof fetch = async (input, init) => {
    const asked = input instanceof Request ? input : { url: String(input), method: 'GET' }
    const url = new URL(asked.url, location.href)
    const method = (init?.method ?? asked.method).toUpperCase()
    const request = `${method} ${url.pathname}`
    const started = performance.now()
    const note = (status: number | undefined) => {
      const ms = Math.round(performance.now() - started)
      add({ actor: 'page', request, status, ms, ...describe(method, url, status, config) })
    }
    try {
      const reply = await fetch(input, init)
      note(reply.status)
      return reply
    } catch (error) {
      if ((error as Error).name !== 'AbortError') note(undefined)
      throw error
    }
  }

  return {
    tab,
    entries,
    add,
    watchedFetch,
    onEntry: (listener: (entry: Entry) => void): void => void listeners.add(listener),
  }
}
