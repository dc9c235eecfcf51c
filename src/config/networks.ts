import { BlockList, isIP } from 'node:net'

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

const inside = new BlockList()
inside.addSubnet('127.0.0.0', 8)
inside.addSubnet('10.0.0.0', 8)
inside.addSubnet('172.16.0.0', 12)
inside.addSubnet('192.168.0.0', 16)
// The shared address space (RFC 6598) is used by overlay and container networks.
inside.addSubnet('100.64.0.0', 10)
inside.addSubnet('169.254.0.0', 16)
inside.addAddress('::1', 'ipv6')
inside.addSubnet('fc00::', 7, 'ipv6')
inside.addSubnet('fe80::', 10, 'ipv6')

/** Whether the Internet does not route to an address: loopback, link-local and private networks. */
export function isInside(address: string): boolean {
  const [bare = ''] = address.split('%')
  const family = isIP(bare)
  return family !== 0 && inside.check(bare, family === 4 ? 'ipv4' : 'ipv6')
}
