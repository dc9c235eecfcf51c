import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { DatabaseHost, DatabaseTarget } from './database-target.ts'
import { isInside } from './networks.ts'

/**
 * What protects the connection to the database. Plain text is safe only where nobody else can listen or answer: over a
 * socket of this machine, and to addresses that the Internet does not route. A host name does not tell which it is:
 * `db.internal` may be anywhere, and `service.namespace` may be inside a cluster.
 */
export type DatabaseLink =
  | { kind: 'verified' | 'socket' }
  | { kind: 'inside' | 'outside'; addresses: string[] }
  /** A name that does not resolve yet. */
  | { kind: 'unknown'; error: Error }

export type Resolve = (name: string) => Promise<string[]>

/** Resolves as the driver does, the hosts file included. */
const resolveAll: Resolve = async (name) => (await lookup(name, { all: true })).map(({ address }) => address)

/** One for each host, in their order. */
export interface HostLink {
  host: string
  link: DatabaseLink
}

/** Without those whose host is a name, which has to be resolved first. */
export function linksWithoutLookup({ hosts, verified }: DatabaseTarget): DatabaseLink[] {
  return hosts.flatMap((each) => linkWithoutLookup(each, verified) ?? [])
}

export async function inspectLinks(
  { hosts, verified }: DatabaseTarget,
  resolve: Resolve = resolveAll,
): Promise<HostLink[]> {
  const inspect = async (each: DatabaseHost): Promise<DatabaseLink> => {
    const known = linkWithoutLookup(each, verified)
    if (known) return known
    try {
      return linkTo(await resolve(each.host))
    } catch (error) {
      return { kind: 'unknown', error: error as Error }
    }
  }
  return await Promise.all(hosts.map(async (each) => ({ host: each.host, link: await inspect(each) })))
}

function linkWithoutLookup({ host }: DatabaseHost, verified: boolean): DatabaseLink | undefined {
  if (verified) return { kind: 'verified' }
  if (host.startsWith('/')) return { kind: 'socket' }
  return isIP(host) === 0 ? undefined : linkTo([host])
}

/** Every address must be inside, because a connection may use any of them. */
function linkTo(addresses: string[]): DatabaseLink {
  return { kind: addresses.every(isInside) ? 'inside' : 'outside', addresses }
}

export const OPEN_LINK =
  'needs sslmode=verify-full: without it whoever is on the path can pose as the database. Plain text is accepted over a socket and to loopback, link-local and private addresses only'

/** In words, for the operator. */
export function describeLink({ host, link }: HostLink): string {
  switch (link.kind) {
    case 'verified':
      return 'the database has to prove who it is, by its certificate'
    case 'socket':
      return 'plain text, over a socket of this machine'
    case 'unknown':
      return `${host} does not resolve yet: in production its addresses decide, before the first connection, whether plain text is accepted`
    case 'inside':
    case 'outside': {
      const addresses = link.addresses.join(', ')
      const where = link.addresses.includes(host) ? host : `${host} (${addresses})`
      return link.kind === 'inside'
        ? `plain text to ${where}, which the Internet does not reach`
        : `plain text to ${where}, which is not inside a private network`
    }
  }
}
