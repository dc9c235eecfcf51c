import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import { onceAnHour } from './once-an-hour.ts'

declare module 'fastify' {
  interface FastifyRequest {
    source: Source
  }
}

/** What a request was before it came to the first of our proxies. */
export interface Source {
  /** In one spelling; undefined only where the socket has none. */
  address: string | undefined
  /** Scheme in lower case; undefined where no trusted proxy has stated it. */
  protocol: string | undefined
}

const UNTRUSTED =
  'X-Forwarded-For was ignored: it came from an address that is not in TRUSTED_PROXIES. If that is your proxy, all its clients share one address and its limits'

/** Finds each request's source. Order: before everything that counts, judges or logs by it. */
export function findSources(app: FastifyInstance, config: Pick<Config, 'TRUSTED_PROXIES' | 'ISSUER'>): void {
  const sourceOf = sources(config.TRUSTED_PROXIES)
  const trusts = trustedPeers(config.TRUSTED_PROXIES)
  const isBehindProxy = config.ISSUER.startsWith('https:')
  const isNew = onceAnHour()
  app.decorateRequest('source')
  app.addHook('onRequest', (request, _reply, done) => {
    request.source = sourceOf(request.raw)
    // Said here, as everything seems to work until all clients together have used up the limits of one address.
    if (isBehindProxy && request.source.protocol === undefined && request.headers['x-forwarded-for'] !== undefined) {
      const { address: peer = '' } = request.source
      if (!trusts(request.raw.socket.remoteAddress) && isNew(peer)) request.log.warn({ peer }, UNTRUSTED)
    }
    done()
  })
}

/**
 * Reads `X-Forwarded-For` and `X-Forwarded-Proto` by one rule: each proxy adds an entry at the right, so the entries are
 * believed from there, for as long as whoever added them is trusted. The client is the first who is not; its scheme is what
 * the outermost proxy has stated. Entries further left are the client's own words. `Forwarded` (RFC 7239) and
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
      // A name or nothing: the proxy that wrote it is the last whose address is known.
      if (hop === undefined) break
      address = hop
      if (at === 0 || !trusts(hop)) break
      proxies++
    }
    const schemes = listOf(headers['x-forwarded-proto'])
    // Fewer entries than proxies: some add none, and the left-most is the outermost that there is.
    const protocol = schemes[Math.max(0, schemes.length - proxies)]?.toLowerCase()
    return { address, protocol: protocol === '' ? undefined : protocol }
  }
}

/** Repeated header lines are joined by Node; an entry may be empty and still has its place. */
function listOf(header: string | string[] | undefined): string[] {
  return header === undefined
    ? []
    : String(header)
        .split(',')
        .map((entry) => entry.trim())
}

/** Whether a socket's peer is one of the proxies whose `X-Forwarded-*` and request id are believed. */
export type TrustsPeer = (address: string | undefined) => boolean

/** @param networks addresses and CIDR networks, as configuration has checked them. Empty: nobody is trusted. */
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
 * One spelling per address: IPv4-mapped IPv6 becomes IPv4 (a dual-stack socket reports every IPv4 peer so), the port that
 * some proxies append and the zone are dropped. Undefined for anything that is no address: `X-Forwarded-For` is free text.
 */
export function normalAddress(text: string): string | undefined {
  const bare = /^\d+(?:\.\d+){3}(?=:\d+$)/.exec(text)?.[0] ?? /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? text
  const address = bare.replace(/%.*$/s, '')
  const family = isIP(address)
  if (family === 0) return undefined
  if (family === 4) return address
  // The URL parser writes IPv6 in its canonical form (RFC 5952), mapped addresses in hexadecimal.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(canonical)
  if (!mapped) return canonical
  const bits = Number.parseInt(mapped[1] as string, 16) * 65536 + Number.parseInt(mapped[2] as string, 16)
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.')
}

/** One IPv4 address or one IPv6 /64, which is what a single subscriber commands. */
export function networkOf(address: string | undefined): string {
  return address === undefined ? 'unknown' : normalizeIP(address, 64)
}
