import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { FastifyInstance } from 'fastify'
import ipaddr from 'ipaddr.js'
import type { Config } from '../../config/config.ts'
import { readAddress } from '../../config/networks.ts'
import { onceAnHour } from './once-an-hour.ts'

declare module 'fastify' {
  interface FastifyRequest {
    source: Source
  }
}

/** Where a request came from before it reached the first of our proxies, and how. */
export interface Source {
  /** The client's address in canonical form; undefined only if the socket has none. */
  address: string | undefined
  /** The scheme in lower case; undefined unless a trusted proxy has stated it. */
  protocol: string | undefined
  /** The client that has stated the address, if one has: it called for a visitor. */
  statedBy?: string
  /** The address of that client. */
  statedFrom?: string | undefined
}

const UNTRUSTED =
  'X-Forwarded-For was ignored: it came from an address that is not in TRUSTED_PROXIES. If that is your proxy, all its clients share one address and its limits'

/** Finds the source of each request. Order: before everything that counts, judges or logs by it. */
export function findSources(app: FastifyInstance, config: Pick<Config, 'TRUSTED_PROXIES' | 'ISSUER'>): void {
  const sourceOf = sources(config.TRUSTED_PROXIES)
  const trusts = trustedPeers(config.TRUSTED_PROXIES)
  const isBehindProxy = config.ISSUER.startsWith('https:')
  const isNew = onceAnHour()
  app.decorateRequest('source')
  app.addHook('onRequest', (request, _reply, done) => {
    request.source = sourceOf(request.raw)
    // Otherwise everything seems to work until all clients together have used up the limits of a single address.
    if (isBehindProxy && request.source.protocol === undefined && request.headers['x-forwarded-for'] !== undefined) {
      const { address: peer = '' } = request.source
      if (!trusts(request.raw.socket.remoteAddress) && isNew(peer)) request.log.warn({ peer }, UNTRUSTED)
    }
    done()
  })
}

/**
 * Reads `X-Forwarded-For` and `X-Forwarded-Proto`. Each proxy appends an entry, so entries are believed from the right
 * for as long as the hop that added them is trusted. The client is the first hop that is not; its scheme is the one
 * that the outermost proxy has stated. Entries further left may be forged by the client. `Forwarded` (RFC 7239) and
 * `X-Forwarded-Host` are not read.
 */
export function sources(networks: readonly string[]): (raw: Pick<IncomingMessage, 'socket' | 'headers'>) => Source {
  const trusts = trustedPeers(networks)
  return ({ socket, headers }) => {
    const peer = normalAddress(socket.remoteAddress ?? '')
    if (!trusts(peer)) return { address: peer, protocol: undefined }

    const hops = listOf(headers['x-forwarded-for'])
    let address = peer
    let proxies = 1
    for (let at = hops.length - 1; at >= 0; at--) {
      const hop = normalAddress(hops[at] ?? '')
      // The entry is no address: the proxy that wrote it is the last hop whose address is known.
      if (hop === undefined) break
      address = hop
      if (at === 0 || !trusts(hop)) break
      proxies++
    }
    const schemes = listOf(headers['x-forwarded-proto'])
    // Some proxies add no scheme. With fewer entries than proxies, the left-most counts as the outermost.
    const protocol = schemes[Math.max(0, schemes.length - proxies)]?.toLowerCase()
    return { address, protocol: protocol === '' ? undefined : protocol }
  }
}

/** Node joins repeated header lines. An empty entry keeps its place. */
function listOf(header: string | string[] | undefined): string[] {
  return header === undefined
    ? []
    : String(header)
        .split(',')
        .map((entry) => entry.trim())
}

/** Whether the peer of a socket is one of the proxies whose `X-Forwarded-*` and request id are believed. */
export type TrustsPeer = (address: string | undefined) => boolean

/** @param networks addresses and CIDR networks, checked by the configuration. If there are none, no peer is trusted. */
export function trustedPeers(networks: readonly string[]): TrustsPeer {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return (address) => {
    const plain = address && normalAddress(address)
    return plain ? list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4') : false
  }
}

/**
 * The canonical form of an address: IPv4-mapped IPv6 becomes IPv4 (dual-stack sockets report IPv4 peers that way), and
 * the zone is dropped, as is the port that some proxies append. Undefined if it is no address: `X-Forwarded-For` is
 * free text.
 */
export function normalAddress(text: string): string | undefined {
  const bare = /^\d+(?:\.\d+){3}(?=:\d+$)/.exec(text)?.[0] ?? /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? text
  const address = bare.replace(/%.*$/s, '')
  // Accepts only what Node takes for an address: the library also reads octal, hexadecimal and shortened ones.
  const family = isIP(address)
  if (family === 0) return undefined
  return family === 4 ? address : readAddress(address).toString()
}

/** One IPv4 address, or one IPv6 /64, which a single subscriber usually controls. */
export function networkOf(address: string | undefined): string {
  const plain = normalAddress(address ?? '')
  if (plain === undefined) return 'unknown'
  return isIP(plain) === 6 ? ipaddr.IPv6.networkAddressFromCIDR(`${plain}/64`).toString() : plain
}
