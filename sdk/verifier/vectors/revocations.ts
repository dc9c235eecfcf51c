import { ABSENT, encode, type Mint, retiringKid, signingKid } from './mint.ts'
import { byIssuer, byRetiringKey, byStranger, nobody, type Signer } from './sign.ts'

type Json = Record<string, unknown>

/** A message of the feed. */
export interface Message {
  name: string
  /** `list`: the document, or the data of a heartbeat. `event`: the data of a revocation, which has an `id`. */
  kind: 'list' | 'event'
  id?: string
  jws: string
}

export interface RevocationVectors {
  /** What must be believed, and up to where the feed is held then. */
  good: (Message & { epoch: string; seq: number })[]
  /** What must not be, and why. */
  bad: (Message & { why: string })[]
  /** Whether a token that is valid otherwise is revoked by a list. */
  verdicts: { name: string; list: string; token: string; revoked: boolean }[]
}

/** 2025-01-01, a minute after the tokens were issued. */
const NOW = 1735689660
const EPOCH = 'p3yGdLqvXxQv1n7m0c2a4w'
const SESSION = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
const CREDENTIAL = 'https://schemas.openid.net/secevent/caep/event-type/credential-change'

/** Messages of the feed of revocations. The same issuer gives the same bytes, always. */
export function revocations(mint: Mint): RevocationVectors {
  const { issuer, claims: token } = mint
  const times = { revoked_at: NOW - 10, expires_at: NOW + 660 }
  const entry = { seq: 7, sid: token.sid, ...times }
  const sign = (typ: unknown, claims: Json, head: Json = {}, signer: Signer = byIssuer): string =>
    mint.raw(JSON.stringify({ alg: 'RS256', typ, kid: signingKid, ...head }), JSON.stringify(claims), signer)
  const listed = (entries: Json[], changed: Json = {}): Json => ({
    iss: issuer,
    iat: NOW,
    epoch: EPOCH,
    after: 0,
    seq: 7,
    ttl: 2,
    revocations: entries,
    ...changed,
  })
  const told = (changed: Json = {}): Json => ({
    iss: issuer,
    iat: NOW,
    jti: 'c0JxM3dBb2Vhd2l2c2NhYg',
    epoch: EPOCH,
    sub_id: {
      format: 'complex',
      user: { format: 'iss_sub', iss: issuer, sub: token.sub },
      session: { format: 'opaque', id: token.sid },
    },
    events: { [SESSION]: { event_timestamp: NOW - 10, initiating_entity: 'user' } },
    revocation: entry,
    ...changed,
  })
  const list = (name: string, entries: Json[], changed?: Json, head?: Json, signer?: Signer): Message => ({
    name,
    kind: 'list',
    jws: sign('revocations+jwt', listed(entries, changed), head, signer),
  })
  const event = (name: string, changed?: Json, head?: Json, signer?: Signer): Message & { id: string } => ({
    name,
    kind: 'event',
    id: `${EPOCH}.7`,
    jws: sign('secevent+jwt', told(changed), head, signer),
  })
  const at = (seq: number) => ({ epoch: EPOCH, seq })
  const because = (why: string, ...messages: Message[]) => messages.map((message) => ({ ...message, why }))
  const verdict = (name: string, revoked: boolean, named: Json, signedBy?: Signer) => ({
    name,
    list: sign('revocations+jwt', listed([{ seq: 7, ...times, ...named }])),
    token: signedBy ? mint.withHeader({ kid: retiringKid }, signedBy) : mint.withHeader({}),
    revoked,
  })

  return {
    good: [
      { ...list('nothing-revoked-yet', [], { seq: 0 }), ...at(0) },
      { ...list('heartbeat', [], { after: 7 }), ...at(7) },
      { ...list('one-session', [entry]), ...at(7) },
      {
        ...list('of-every-kind', [
          { seq: 2, sid: token.sid, ...times },
          { seq: 3, sub: 'cl_reports', ...times },
          { seq: 5, kid: 'of-last-year', ...times },
          { seq: 6, all: true, ...times, revoked_at: NOW - 86400 },
        ]),
        ...at(7),
      },
      { ...list('by-the-other-published-key', [], {}, { kid: retiringKid }, byRetiringKey), ...at(7) },
      { ...event('session-revoked'), ...at(7) },
      {
        ...event('credential-change', {
          revocation: ABSENT,
          seq: 7,
          events: { [CREDENTIAL]: { credential_type: 'password', change_type: 'update', event_timestamp: NOW - 10 } },
        }),
        ...at(7),
      },
    ],
    bad: [
      ...because(
        'of another issuer',
        list('list-of-another-issuer', [], { iss: 'https://attacker.example' }),
        list('list-of-an-issuer-with-a-slash', [], { iss: `${issuer}/` }),
        event('event-of-another-issuer', { iss: 'https://attacker.example' }),
      ),
      ...because(
        'signed by nobody, or by somebody else',
        list('list-forged', [], {}, {}, byStranger),
        list('list-of-an-unknown-key', [], {}, { kid: 'of-a-stranger' }, byStranger),
        list('list-unsigned', [], {}, { alg: 'none' }, nobody),
        event('event-forged', {}, {}, byStranger),
        event('event-unsigned', {}, { alg: 'none' }, nobody),
      ),
      ...because(
        'of another type: these keys sign other things too',
        list('list-typed-as-a-token', [], {}, { typ: 'at+jwt' }),
        list('list-typed-as-an-event', [], {}, { typ: 'secevent+jwt' }),
        list('list-without-a-type', [], {}, { typ: ABSENT }),
        event('event-typed-as-a-token', {}, { typ: 'at+jwt' }),
        event('event-typed-as-a-list', {}, { typ: 'revocations+jwt' }),
        { name: 'event-that-is-an-access-token', kind: 'event', id: `${EPOCH}.7`, jws: mint.withHeader({}) },
      ),
      ...because(
        'the id of the event is not what is signed',
        { ...event('id-of-another-number'), id: `${EPOCH}.8` },
        { ...event('id-of-another-epoch'), id: `${EPOCH.toLowerCase()}.7` },
        { ...event('id-in-another-spelling'), id: `${EPOCH}.07` },
      ),
      ...because(
        'something that it needs is missing, or is something else',
        list('list-without-a-time', [], { iat: ABSENT }),
        list('list-with-a-time-that-is-a-text', [], { iat: String(NOW) }),
        list('list-without-an-epoch', [], { epoch: ABSENT }),
        list('list-with-a-negative-number', [], { seq: -1 }),
        list('list-that-may-begin-anywhere', [], { after: ABSENT }),
        list('list-that-begins-before-all', [], { after: -1 }),
        list('list-that-begins-after-its-end', [], { after: 8 }),
        list('list-without-revocations', [], { revocations: ABSENT }),
        list('list-with-an-entry-beyond-its-number', [{ ...entry, seq: 8 }]),
        event('event-without-events', { events: ABSENT }),
        event('event-without-an-end', { revocation: { ...entry, expires_at: ABSENT } }),
      ),
      ...because(
        'it cannot be told what was revoked, and to pass over it would be to miss it',
        event('entry-of-no-kind', { revocation: { seq: 7, ...times } }),
        event('entry-of-two-kinds', { revocation: { ...entry, sub: token.sub } }),
        event('entry-of-a-kind-to-come', { revocation: { seq: 7, jti: token.jti, ...times } }),
        event('entry-for-everybody-that-is-false', { revocation: { seq: 7, all: false, ...times } }),
        list('list-with-an-entry-of-no-kind', [{ seq: 7, ...times }]),
      ),
      ...because(
        'another spelling',
        { ...list('list-with-padding', []), jws: `${list('', []).jws}=` },
        { name: 'list-as-json', kind: 'list', jws: encode(JSON.stringify(listed([]))) },
      ),
    ],
    verdicts: [
      verdict('its-session', true, { sid: token.sid }),
      verdict('another-session', false, { sid: token.sub }),
      verdict('its-user-later', true, { sub: token.sub }),
      verdict('its-user-in-that-second', true, { sub: token.sub, revoked_at: token.iat }),
      verdict('its-user-before', false, { sub: token.sub, revoked_at: Number(token.iat) - 1 }),
      verdict('another-user', false, { sub: token.sid }),
      verdict('everybody-later', true, { all: true }),
      verdict('everybody-before', false, { all: true, revoked_at: Number(token.iat) - 1 }),
      verdict('its-key', true, { kid: retiringKid }, byRetiringKey),
      verdict('another-key', false, { kid: retiringKid }),
    ],
  }
}
