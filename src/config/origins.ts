/** The pages that may act for a client, as browsers name them in `Origin`. */
export interface Origins {
  has(origin: string): boolean
}

/** Exactly these origins. */
export function listed(origins: Iterable<string>): Origins {
  return new Set(origins)
}

/** Development servers take whichever port is free. */
const LOCALHOST = /^http:\/\/localhost(:\d{1,5})?$/

/** The pages of this machine, except those that belong to another client. */
export function localhostPages(except: Iterable<string>): Origins {
  const others = new Set(except)
  return { has: (origin) => LOCALHOST.test(origin) && !others.has(origin) }
}

export function union(parts: readonly Origins[]): Origins {
  return { has: (origin) => parts.some((part) => part.has(origin)) }
}
