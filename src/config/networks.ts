import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** @param hostname as in a URL, with IPv6 addresses in brackets. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    hostname === '::1' ||
    /^127(\.\d+){3}$/.test(hostname)
  )
}

/** `carrierGradeNat` is the shared address space (RFC 6598), which overlay and container networks use. */
const INSIDE = new Set(['loopback', 'private', 'linkLocal', 'carrierGradeNat', 'uniqueLocal'])

/**
 * An address as the library reads it, IPv4-mapped ones as IPv4. First in the spelling of URLs: of `::10.0.0.1`, an address of
 * the Internet, the library takes the dotted end for IPv4, and whoever writes it into `X-Forwarded-For` would stand in 10.0.0.0/8.
 * @param address for which isIP() is not 0, without a zone.
 */
export function readAddress(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const plain = isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
  return ipaddr.process(plain)
}

/** Whether the Internet does not route to an address: loopback, link-local and private networks. */
export function isInside(address: string): boolean {
  const [bare = ''] = address.split('%')
  return isIP(bare) !== 0 && INSIDE.has(readAddress(bare).range())
}

/** What the Internet Assigned Numbers Authority hands out of IPv6. Everything else leads nowhere, or inside. */
const GLOBAL_UNICAST = ipaddr.parseCIDR('2000::/3')
/** Translators put the IPv4 address into the last 32 bits (RFC 6052 §2.1). */
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96')

/**
 * The address that a packet for this one ends up at, as far as it can be told: that of IPv4 inside a mapped or a
 * translated one. What was found by name on a network of IPv6 alone is such an address (RFC 6147).
 * @param address for which isIP() is not 0, perhaps with a zone.
 */
export function destination(address: string): ipaddr.IPv4 | ipaddr.IPv6 {
  const read = readAddress(address.replace(/%.*$/s, ''))
  const translated = read.kind() === 'ipv6' && read.match(NAT64)
  return translated ? new ipaddr.IPv4(read.toByteArray().slice(12)) : read
}

/**
 * Whether the Internet routes to an address and hands it to a single party. Tunnels (6to4, Teredo) and translators with a
 * prefix of their own could end inside, so they are not.
 * @param address for which isIP() is not 0, perhaps with a zone.
 */
export function isPublic(address: string): boolean {
  const read = destination(address)
  if (read.range() !== 'unicast') return false
  return read.kind() === 'ipv4' || read.match(GLOBAL_UNICAST)
}
