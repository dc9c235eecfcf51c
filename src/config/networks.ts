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
