import { type KeyObject, sign } from 'node:crypto'

export type Json = Record<string, unknown>

interface Header {
  alg: string
  typ: string
  kid: string
}

/** Without looking at the signature. */
export function headerOf(jwt: string): Header {
  return decode(jwt.split('.')[0]) as Header
}

/** Without looking at the signature. */
export function claimsOf(jwt: string): Json {
  return decode(jwt.split('.')[1]) as Json
}

/** The session that an access token is of. */
export function sidOf(accessToken: string): string {
  return claimsOf(accessToken).sid as string
}

/** A part of a token; a string is taken as it is, for parts that are no JSON. */
export function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
}

export function signJwt(privateKey: KeyObject, header: unknown, payload: unknown): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${sign('RSA-SHA256', Buffer.from(input), privateKey).toString('base64url')}`
}

function decode(part = ''): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString())
}
