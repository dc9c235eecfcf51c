import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto'
import { forwardedFor, get, post } from './sources.ts'

/** What a stranger with an account of their own has to send. */
export interface Stranger {
  /** Genuine, of a client that gets it in the body. */
  refreshToken: string
  accessToken: string
}

export interface Flood {
  what: string
  /** Each refused or served at once, and worth sending again: a flood wears nothing out. */
  request(host: string, stranger: Stranger, turn: number, headers: string): string
}

export const floods: Flood[] = [
  {
    what: '/logout in the wrong delivery',
    request: (host, { refreshToken }, _turn, headers) => {
      const cookie = `origin: http://${host}\r\ncookie: __Host-refresh_token=${refreshToken}\r\n`
      return `POST /logout HTTP/1.1\r\nhost: ${host}\r\n${cookie}${headers}content-length: 0\r\n\r\n`
    },
  },
  {
    what: '/refresh with another client’s tokens',
    request: (host, { refreshToken }, _turn, headers) =>
      post(host, '/refresh', JSON.stringify({ refresh_token: refreshToken, client_id: 'web' }), headers),
  },
  {
    what: '/me',
    request: (host, { accessToken }, _turn, headers) =>
      get(host, '/me', `authorization: Bearer ${accessToken}\r\n${headers}`),
  },
  {
    what: '/refresh with forged proofs',
    request: (host, _stranger, _turn, headers) =>
      post(
        host,
        '/refresh',
        '{"refresh_token":"none"}',
        `dpop: ${forgedProof(host, 'POST', '/refresh')}\r\n${headers}`,
      ),
  },
  {
    what: '/refresh with forged proofs and tokens of their own',
    request: (host, { refreshToken }, _turn, headers) =>
      post(
        host,
        '/refresh',
        JSON.stringify({ refresh_token: refreshToken, client_id: 'web' }),
        `dpop: ${forgedProof(host, 'POST', '/refresh')}\r\n${headers}`,
      ),
  },
  {
    what: '/me with forged proofs',
    request: (host, { accessToken }, _turn, headers) =>
      get(
        host,
        '/me',
        `authorization: DPoP ${accessToken}\r\ndpop: ${forgedProof(host, 'GET', '/me', accessToken)}\r\n${headers}`,
      ),
  },
  {
    what: '/register',
    request: (host, _stranger, turn, headers) => {
      const account = { email: `stranger-${turn}@flood.example`, password: 'seven green lanterns 42' }
      return post(host, '/register', JSON.stringify(account), headers)
    },
  },
]

/** Costs the server next to nothing: what it does to the others is the machine's share, which the load shares too. */
export const keySet: Flood = {
  what: 'the key set',
  request: (host, _stranger, _turn, headers) => get(host, '/.well-known/jwks.json', headers),
}

/** More than are under way at once, so that accounts to register are new for a while. */
const TURNS = 3000

/** What the flood sends in turn, from as many addresses as there are strangers. */
export function requestsOf(flood: Flood, host: string, strangers: Stranger[]): string[] {
  return Array.from({ length: TURNS }, (_, turn) => {
    const from = turn % strangers.length
    return flood.request(host, strangers[from] as Stranger, turn, forwardedFor(19, from))
  })
}

/** Of all keys that are accepted, the slowest to verify with. */
const jwk = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey.export({ format: 'jwk' })

/** A proof of possession (RFC 9449) that is right in all that is cheap to check. Its signature costs the sender nothing. */
function forgedProof(host: string, htm: string, path: string, accessToken = ''): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const ath = createHash('sha256').update(accessToken).digest('base64url')
  const iat = Math.floor(Date.now() / 1000) + 30
  const claims = { jti: randomUUID(), htm, htu: `http://${host}${path}`, iat, ath }
  return `${encode({ typ: 'dpop+jwt', alg: 'ES512', jwk })}.${encode(claims)}.${'B'.repeat(176)}`
}
