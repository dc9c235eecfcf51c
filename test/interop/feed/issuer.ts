import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { retiringKey, signingKey } from '../../../sdk/verifier/vectors/keys.ts'
import { AUDIENCE, createMint, encode } from '../../../sdk/verifier/vectors/mint.ts'
import {
  byIssuer,
  byRetiringKey,
  byStranger,
  hmac,
  nobody,
  publicForms,
  published,
  type Signer,
} from '../../../sdk/verifier/vectors/sign.ts'

const HEARTBEAT_MS = 250
const SEGMENT = 256
const seconds = (): number => Math.floor(Date.now() / 1000)

const [key, otherKey] = [published(signingKey), published(retiringKey)]
const asIssuer = { sign: byIssuer, kid: key.kid }
/** Who else signs, and as whom. */
const signers: Record<string, { sign: Signer; kid: string }> = {
  'other-key': { sign: byRetiringKey, kid: otherKey.kid },
  stranger: { sign: byStranger, kid: 'unknown' },
  forger: { sign: byStranger, kid: key.kid },
  nobody: { sign: nobody, kid: key.kid },
  hmac: { sign: hmac(publicForms.spkiPem), kid: key.kid },
}

// Of an event, what a follower need not look at.
const subject = { format: 'complex', tenant: { format: 'uri', uri: 'https://issuer.example' } }
const events = {
  'https://schemas.openid.net/secevent/caep/event-type/session-revoked': { event_timestamp: 1735689600 },
}

type Json = Record<string, unknown>
/** What a case revokes. A key goes by the name of who signs with it. */
export type Named = Partial<Record<'sid' | 'sub' | 'kid' | 'of a kind to come', string>> & { all?: true }
interface Entry extends Named {
  seq: number
}

/** What is otherwise than it should be in what is said. */
export interface Saying {
  signer?: string
  alg?: string
  typ?: string
  iss?: string
  /** Seconds by which its clock is slow. */
  behind?: number
  /** Only the next list or heartbeat. */
  once?: true
  /** Of these epochs, by turns: the last list that was said. */
  replayed?: string[]
}

export interface World {
  /** Or what somebody in between answers in its place, all of it signed by the issuer. */
  list?: 'up' | 'down' | 'heartbeat' | 'first part' | 'last part'
  stream?: 'open' | 'for clients' | 'refused' | 'held back'
}

/** The service client that a follower is given. */
export const client = { id: 'cl_AAAAAAAAAAAAAAAAAAAAAA', secret: 'cvs1_of-nobody' }
const credentials = `Basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`

/** An issuer of nothing but a feed, which says what a case has it say. */
export async function startFeedIssuer() {
  const world: Required<World> = { list: 'up', stream: 'open' }
  let [epoch, seq, saying]: [string, number, Saying] = ['first', 0, {}]
  let entries: Entry[] = []
  const streams = new Set<ServerResponse>()
  const said: { text: string; epoch: string }[] = []
  let beats = 0

  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', url)
    if (pathname === '/.well-known/revocations/stream') open(response, request.headers.authorization)
    else if (pathname === '/.well-known/revocations') {
      if (world.list === 'down') response.writeHead(503).end()
      else response.writeHead(200, { 'content-type': 'application/jwt' }).end(answerTo(searchParams.get('since')))
    } else {
      const documents: Record<string, Json> = {
        '/.well-known/jwks.json': { keys: [key, otherKey] },
        '/.well-known/oauth-authorization-server': { issuer: url, jwks_uri: `${url}/.well-known/jwks.json` },
      }
      const body = documents[pathname]
      response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}))
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const sign = (typ: string, claims: Json, changed: Saying): string => {
    const { sign: signer, kid } = signers[changed.signer ?? ''] ?? asIssuer
    const header = { alg: changed.alg ?? 'RS256', typ: changed.typ ?? typ, kid }
    const iat = seconds() - (changed.behind ?? 0)
    const input = [header, { iss: changed.iss ?? url, iat, epoch, ...claims }]
      .map((part) => encode(JSON.stringify(part)))
      .join('.')
    return `${input}.${signer(input).toString('base64url')}`
  }

  /** @param after nothing is missing of what has a larger number. */
  const list = (revocations: Entry[], after: number): string => {
    if (saying.replayed) {
      const turn = saying.replayed[beats % saying.replayed.length]
      return said.findLast((each) => each.epoch === turn)?.text ?? ''
    }
    const text = sign('revocations+jwt', { seq, after, ttl: 2, revocations }, saying)
    if (saying.once) saying = {}
    said.push({ text, epoch })
    return text
  }

  /** The segment with the first entry after the one that a reader has, or everything. */
  const pageOf = (since: string | null): string => {
    const [of, last] = since?.split('.') ?? []
    if (of !== epoch || Number(last) > seq) return list(entries, 0)
    const first = entries.find((entry) => entry.seq > Number(last))
    const segment = (each: Entry): number => Math.floor(each.seq / SEGMENT)
    const isBefore = (each: Entry): boolean => !first || segment(each) < segment(first)
    const part = entries.filter((entry) => first && segment(entry) === segment(first))
    return list(part, entries.findLast(isBefore)?.seq ?? 0)
  }
  const heartbeat = (): string => list([], seq)
  const answerTo = (since: string | null): string => {
    if (world.list === 'heartbeat') return heartbeat()
    if (world.list === 'first part') return pageOf(`${epoch}.0`)
    if (world.list === 'last part') return pageOf(`${epoch}.${seq - 1}`)
    return pageOf(since)
  }

  const send = (event: string, data: string): void => {
    for (const stream of streams) stream.write(`id: ${epoch}.${seq}\nevent: ${event}\ndata: ${data}\n\n`)
  }
  const open = (response: ServerResponse, authorization?: string): void => {
    const isFull = world.stream === 'for clients' && authorization !== credentials
    if (world.stream === 'refused' || isFull) return void response.writeHead(503, { 'retry-after': '1' }).end()
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('retry: 1000\n: welcome\n\n')
    if (world.stream === 'held back') return
    streams.add(response)
    response.on('close', () => streams.delete(response))
    send('heartbeat', heartbeat())
  }
  const beating = setInterval(() => {
    beats++
    send('heartbeat', heartbeat())
  }, HEARTBEAT_MS)

  const complete = ({ kid, ...entry }: Named): Entry => {
    const times = { revoked_at: seconds(), expires_at: seconds() + 660 }
    return { ...entry, ...(kid && { kid: signers[kid]?.kid ?? kid }), ...times, seq }
  }
  const event = (claims: Json, changed: Saying): string =>
    sign('secevent+jwt', { jti: randomUUID(), sub_id: subject, events, ...claims }, changed)

  return {
    url,
    /** @param unsent it is in the list, but the stream loses it. */
    revoke: (entry: Named, unsent = false) => {
      seq++
      entries.push(complete(entry))
      if (!unsent) send('revocation', event({ revocation: entries.at(-1) }, saying))
    },
    /** Numbers that no list has. */
    passwords: (count: number, sent = false) => {
      for (let made = 0; made < count; made++) {
        seq++
        if (sent) send('revocation', event({ seq }, saying))
      }
    },
    /** What was never said, with the next number. */
    forge: (entry: Named, changed: Saying) =>
      send('revocation', event({ revocation: { ...complete(entry), seq: seq + 1 } }, changed)),
    say: (next: Saying) => void (saying = next),
    set: (next: World) => {
      Object.assign(world, next)
      if (world.stream !== 'open' && world.stream !== 'for clients') for (const stream of streams) stream.destroy()
    },
    beginEpoch: (name: string, unsent = false) => {
      ;[epoch, seq, entries] = [name, 0, []]
      if (!unsent) send('reset', '{}')
    },
    tokens: tokensOf(url),
    [Symbol.asyncDispose]: async () => {
      clearInterval(beating)
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Each of a user and a session of the same name. */
function tokensOf(issuer: string): Record<string, string> {
  const { withClaims, withHeader, claims } = createMint(issuer)
  const now = seconds()
  const of = (name: string, iat = now - 60) => ({ sub: name, sid: name, iat, exp: now + 600 })
  return {
    a: withClaims(of('a')),
    // Of a replica whose clock is fast.
    'a, later': withClaims(of('a', now + 25)),
    b: withClaims(of('b')),
    // Of the user of the first, in a session that began after whatever a case revokes.
    late: withClaims({ ...of('a', now + 25), sid: 'late' }),
    'other-key': withHeader({ kid: otherKey.kid }, byRetiringKey, { ...claims, ...of('c') }),
  }
}

export const audience = AUDIENCE
