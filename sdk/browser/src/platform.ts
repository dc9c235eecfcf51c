interface WebStorage {
  getItem(name: string): string | null
  setItem(name: string, value: string): void
}

/** What a browser has and Node and React Native lack, in whole or in part. */
export const platform = globalThis as unknown as {
  document?: { visibilityState: string; baseURI: string }
  /** Undefined outside of browsers. */
  origin?: string
  isSecureContext?: boolean
  BroadcastChannel?: unknown
  location?: { href: string; hash?: string; ancestorOrigins?: Iterable<string> }
  navigator?: {
    onLine?: boolean
    cookieEnabled?: boolean
    locks?: {
      request<T>(name: string, options: { signal: AbortSignal } | { steal: true }, run: () => Promise<T>): Promise<T>
    }
  }
  history: { state: unknown; replaceState(state: unknown, unused: string, url?: string): void }
  localStorage: WebStorage
  sessionStorage: WebStorage
  addEventListener(type: string, listener: (event: { type: string }) => unknown, options: { signal: AbortSignal }): void
  crypto?: { randomUUID?: () => string }
}

/** Does not go back when somebody sets the clock. It may stand still while the device sleeps. Milliseconds. */
export const elapsed = (): number => performance.now()

/** In Node nothing that goes on in the background keeps the process running; elsewhere there is no such thing. */
export function inBackground<T>(thing: T): T {
  ;(thing as { unref?: () => void }).unref?.()
  return thing
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
