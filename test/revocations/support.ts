import { createLocalJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { transact } from '../../src/db/errors.ts'
import { append } from '../../src/revocations/append.ts'
import type { Revocation } from '../../src/revocations/revocation.ts'
import type { TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'

export const LIST = '/.well-known/revocations'

export interface ListClaims {
  iss: string
  iat: number
  epoch: string
  after: number
  seq: number
  ttl: number
  revocations: {
    seq: number
    sid?: string
    sub?: string
    kid?: string
    all?: true
    revoked_at: number
    expires_at: number
  }[]
}

/** The claims of what the server has signed with one of the keys that it publishes. */
export async function verified<T = JWTPayload>(t: TestApp, jwt: string, typ: string): Promise<T> {
  const keys = createLocalJWKSet(JSON.parse(t.deps.keyring.jwks().body.toString()))
  const { payload } = await jwtVerify(jwt, keys, { typ, issuer: t.config.ISSUER, algorithms: ['RS256'] })
  return payload as T
}

export async function readList(t: TestApp, since?: string): Promise<ListClaims> {
  const answer = await t.inject({ method: 'GET', url: since === undefined ? LIST : `${LIST}?since=${since}` })
  if (answer.statusCode !== 200) throw new Error(`the list was answered ${answer.statusCode}: ${answer.body}`)
  return await verified<ListClaims>(t, answer.body, 'revocations+jwt')
}

/** Revokes these in one transaction. */
export async function revoke(t: TestApp, ...revocations: Revocation[]): Promise<void> {
  await transact(t.deps.db, (tx) => append(tx, t.deps, byOperator(t.deps), revocations))
}

/** So many sessions, in one transaction. @returns their ids. */
export async function revokeSessions(t: TestApp, count: number): Promise<string[]> {
  const sids = Array.from({ length: count }, () => crypto.randomUUID())
  await revoke(t, ...sids.map((sid) => ({ kind: 'session', sid, userId: crypto.randomUUID() }) as const))
  return sids
}

export interface StreamEvent {
  event: string
  id: string | undefined
  data: string
}

/** A reader of the stream, over a real connection. */
export interface StreamReader extends AsyncDisposable {
  status: number
  headers: Headers
  /** Everything that has come so far, comments left out. */
  events: StreamEvent[]
  /** The next one of this name that has not been returned yet. */
  next(event: string): Promise<StreamEvent>
  /** Resolves when the server has ended the stream, or the connection is broken. */
  ended: Promise<void>
}

/** @param url of the server. */
export async function openStream(url: string, headers: Record<string, string> = {}): Promise<StreamReader> {
  const breaking = new AbortController()
  const answer = await fetch(`${url}${LIST}/stream`, { headers, signal: breaking.signal })
  const events: StreamEvent[] = []
  const taken = new Set<StreamEvent>()
  let changed = Promise.withResolvers<void>()
  let over = false
  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const read = async () => {
    let text = ''
    try {
      for await (const chunk of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const parts = (text + chunk).split('\n\n')
        text = parts.pop() ?? ''
        events.push(...parts.flatMap(eventOf))
        tell()
      }
    } catch {
      // Broken off, by one side or the other.
    }
    over = true
    tell()
  }
  const ended = read()
  return {
    status: answer.status,
    headers: answer.headers,
    events,
    ended,
    next: async (name) => {
      for (;;) {
        const found = events.find((each) => each.event === name && !taken.has(each))
        if (found) {
          taken.add(found)
          return found
        }
        if (over) throw new Error(`the stream ended without another ${name}`)
        await changed.promise
      }
    },
    [Symbol.asyncDispose]: async () => {
      breaking.abort()
      await ended
    },
  }
}

function eventOf(block: string): StreamEvent[] {
  const fields = block.split('\n').map((line) => /^([a-z]*):(?: (.*))?$/.exec(line))
  const field = (name: string) => fields.find((found) => found?.[1] === name)?.[2]
  const event = field('event')
  return event === undefined ? [] : [{ event, id: field('id'), data: field('data') ?? '' }]
}
