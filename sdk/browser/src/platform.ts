/** What a browser has and Node and React Native lack, in whole or in part. */
export const platform = globalThis as unknown as {
  document?: { visibilityState: string; baseURI: string }
  location?: { origin: string }
  navigator?: {
    onLine?: boolean
    locks?: {
      request<T>(name: string, options: { signal: AbortSignal } | { steal: true }, run: () => Promise<T>): Promise<T>
    }
  }
  localStorage: { getItem(name: string): string | null; setItem(name: string, value: string): void }
  addEventListener(type: string, listener: () => void): void
  crypto?: { randomUUID?: () => string }
}

/** Does not go back when somebody sets the clock. It may stand still while the device sleeps. Milliseconds. */
export const elapsed = (): number => performance.now()

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
