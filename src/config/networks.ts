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

/** Whether the Internet does not route to an address: loopback, link-local and private networks. */
export function isInside(address: string): boolean {
  const [bare = ''] = address.split('%')
  return isIP(bare) !== 0 && INSIDE.has(ipaddr.process(bare).range())
}
