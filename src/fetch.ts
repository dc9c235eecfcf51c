import { type LookupAddress, type LookupAllOptions, lookup as resolve } from 'node:dns'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { destination, isPublic } from './config/networks.ts'

/** From the question to the resolver to the last byte of the body. */
const PATIENCE_MS = 5000
/** In bytes. Key sets and metadata are a few KiB. */
const LARGEST = 64 * 1024

/**
 * Gets what is at an address that somebody else has chosen. It must not become a way to reach what only this machine can
 * reach (server-side request forgery), so where a connection leads is checked at each one, after the name was resolved: a
 * check of the name beforehand would hold for another answer than the one that is used.
 * @returns the body of a 200, which is no larger than 64 KiB.
 * @throws FetchError for anything else.
 */
export type Fetch = (url: string) => Promise<Buffer>

type FetchFault =
  | 'not https'
  | 'a user name in the URL'
  | 'an address that is not public'
  | 'unreachable'
  | 'too slow'
  | 'too large'
  | `answered ${number}`

/** Nothing of the other side's answer is in it but the status. */
export class FetchError extends Error {
  readonly fault: FetchFault

  constructor(fault: FetchFault, cause?: unknown) {
    super(fault, { cause })
    this.name = 'FetchError'
    this.fault = fault
  }
}

interface Options {
  /** Networks that may be reached although they are not public. */
  allow: readonly string[]
  lookup?: Lookup
  patienceMs?: number
}

export type Lookup = (
  host: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export function createFetch({ allow, lookup = resolve, patienceMs = PATIENCE_MS }: Options): Fetch {
  const mayReach = reachOf(allow)
  const guarded: LookupFunction = (host, { all, ...options }, done) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? []
      if (error || !first) return done(error ?? new FetchError('unreachable'), '')
      // All of them, because the connection goes on to the next where the first is not answered.
      if (!addresses.every(({ address }) => mayReach(address)))
        return done(new FetchError('an address that is not public'), '')
      if (all) done(null, addresses)
      else done(null, first.address, first.family)
    })
  }

  return async (address) => {
    const url = URL.canParse(address) ? new URL(address) : undefined
    if (url?.protocol !== 'https:') throw new FetchError('not https')
    if (url.username || url.password) throw new FetchError('a user name in the URL')
    // No question is put to the resolver for a literal, in whichever of its many spellings: the parser leaves one of them.
    const literal = url.hostname.replace(/^\[(.*)\]$/, '$1')
    if (isIP(literal) !== 0 && !mayReach(literal)) throw new FetchError('an address that is not public')

    const signal = AbortSignal.timeout(patienceMs)
    try {
      return await bodyOf(await send(url, guarded, signal))
    } catch (error) {
      if (signal.aborted) throw new FetchError('too slow', error)
      throw error instanceof FetchError ? error : new FetchError('unreachable', error)
    }
  }
}

/** Whether an address may be connected to. */
function reachOf(allow: readonly string[]): (address: string) => boolean {
  const allowed = new BlockList()
  for (const item of allow) {
    const [network = '', prefix] = item.split('/')
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) allowed.addAddress(network, family)
    else allowed.addSubnet(network, Number(prefix), family)
  }
  return (address) => {
    const to = destination(address)
    return isPublic(address) || allowed.check(to.toString(), to.kind())
  }
}

function send(url: URL, lookup: LookupFunction, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(
      url,
      {
        lookup,
        signal,
        // A connection of its own: none that was checked for another name, and none to a proxy, which would resolve the
        // name itself.
        agent: false,
        // Whatever the environment says: NODE_TLS_REJECT_UNAUTHORIZED=0 would let anybody on the path replace keys.
        rejectUnauthorized: true,
        headers: { accept: 'application/json', 'accept-encoding': 'identity' },
      },
      resolve,
    )
      .on('error', reject)
      // A server that switches protocols leaves neither an answer nor an error.
      .on('close', () => reject(new FetchError('unreachable')))
      .end()
  })
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  try {
    const { statusCode = 0 } = response
    // Redirects too: where they lead, nobody has registered.
    if (statusCode !== 200) throw new FetchError(`answered ${statusCode}`)
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response) {
      size += chunk.length
      if (size > LARGEST) throw new FetchError('too large')
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    response.destroy()
  }
}
