import { BlockList, isIP } from 'node:net'

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
