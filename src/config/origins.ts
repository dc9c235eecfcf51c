/** Pages that may act for a client, by what browsers send of them in `Origin`. */
export interface Origins {
  has(origin: string): boolean
}

/** Exactly these: one string, one page's origin. */
export function listed(origins: Iterable<string>): Origins {
  return new Set(origins)
}

/** Development servers take whichever port is free. */
const LOCALHOST = /^http:\/\/localhost(:\d{1,5})?$/

/** Pages that this machine serves to itself, but for those that belong to somebody else. */
export function localhostPages(except: Iterable<string>): Origins {
  const others = new Set(except)
  return { has: (origin) => LOCALHOST.test(origin) && !others.has(origin) }
}

export function union(parts: readonly Origins[]): Origins {
  return { has: (origin) => parts.some((part) => part.has(origin)) }
}
