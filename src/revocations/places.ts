/** Who wants to listen: a service by its client id, or anybody from a network. */
export type Listener = { clientId: string } | { network: string }

export interface Shares {
  /** Streams of anybody. */
  public: number
  perNetwork: number
  /** Streams of services that say who they are: strangers cannot take these. */
  services: number
  perService: number
}

const SHARES: Shares = { public: 1000, perNetwork: 20, services: 200, perService: 50 }

export interface Places {
  /** @returns what gives the place back; undefined if there is none. */
  take(listener: Listener): (() => void) | undefined
}

/** Bounds the streams that are open at a time. */
export function createPlaces(shares: Shares = SHARES): Places {
  const publics = createCounter(shares.public, shares.perNetwork)
  const services = createCounter(shares.services, shares.perService)
  return {
    take: (listener) => ('clientId' in listener ? services(listener.clientId) : publics(listener.network)),
  }
}

function createCounter(most: number, mostOfOne: number): (who: string) => (() => void) | undefined {
  const taken = new Map<string, number>()
  let all = 0
  return (who) => {
    const theirs = taken.get(who) ?? 0
    if (all >= most || theirs >= mostOfOne) return undefined
    all++
    taken.set(who, theirs + 1)
    let given = false
    return () => {
      if (given) return
      given = true
      all--
      const left = (taken.get(who) ?? 1) - 1
      if (left === 0) taken.delete(who)
      else taken.set(who, left)
    }
  }
}
