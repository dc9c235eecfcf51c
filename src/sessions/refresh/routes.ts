import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { clientOfWebView, cookieOwner } from '../../clients/choose.ts'
import { type Clients, clientOfPage, pagesOf } from '../../clients/clients.ts'
import type { Origins } from '../../config/origins.ts'
import type { Delivery } from '../../db/schema.ts'
import { Problem } from '../../errors.ts'
import { refuseForeignOrigin, requireOrigin } from '../../http/guards/origin.ts'
import { networkOf } from '../../http/guards/proxies.ts'
import { type Limits, refuseOver } from '../../http/limits/limits.ts'
import { clearRefreshCookie, refreshCookies, sendTokens } from '../../http/replies/cookies.ts'
import { proofHeader, proofRequestOf } from '../../http/requests/dpop.ts'
import { endpoint } from '../../http/requests/endpoint.ts'
import { operationOf } from '../../http/requests/facts.ts'
import { idempotencyKeyOf, RetryHeaders } from '../../http/requests/idempotency-key.ts'
import { Audience, ClientId, Scope, tokenReply } from '../../http/requests/schemas.ts'
import type { Stalls } from '../../http/server/stalls.ts'
import type { Metrics } from '../../metrics.ts'
import type { DpopJudge } from '../../proven-key.ts'
import type { Semaphore } from '../../semaphore.ts'
import { createLogout } from '../logout.ts'
import type { Refresh } from './refresh.ts'

// Long enough for an access token that is sent here by mistake, which is then refused like any other token that is not
// ours.
const RefreshToken = Type.String({ maxLength: 8192, description: 'Only for clients that get it in the body.' })

const RefreshBody = Type.Object(
  {
    refresh_token: Type.Optional(RefreshToken),
    client_id: Type.Optional(ClientId),
    scope: Type.Optional(Scope),
    audience: Type.Optional(Audience),
  },
  { additionalProperties: false },
)
const LogoutBody = Type.Object(
  { refresh_token: Type.Optional(RefreshToken), client_id: Type.Optional(ClientId) },
  { additionalProperties: false },
)

/** The empty alternative is for clients that send the token in the body. */
const CREDENTIAL = [{ refreshCookie: [] }, {}]

type Needs = Parameters<typeof createLogout>[0] & { metrics: Metrics; dpop: DpopJudge }

/** The endpoints that take a refresh token: refresh and logout. */
export function refreshEndpoints(
  deps: Needs,
  clients: Clients,
  limits: Pick<Limits, 'refresh' | 'lookOver' | 'garbage' | 'logout'>,
  load: { refresh: Refresh; semaphore: Semaphore; stalls: Stalls },
) {
  const logout = createLogout(deps, load.semaphore)
  return {
    refresh: endpoint(
      {
        tags: ['Sessions'],
        summary: 'Exchange the refresh token for new tokens',
        description:
          'Each refresh token is good for one exchange. Sending it again within a few seconds, because an answer got lost or two tabs raced, returns the same successor; with an `Idempotency-Key` that holds at any time. Sending it later means that two parties hold it, and ends the session. A browser needs no body. Tokens that are bound to a key need a proof of it in the header `DPoP` (RFC 9449); without one nothing changes.',
        security: CREDENTIAL,
        headers: Type.Object({ ...RetryHeaders.properties, ...proofHeader }),
        body: Type.Optional(RefreshBody),
        response: { 200: tokenReply('New tokens; the presented refresh token is spent') },
        problems: [
          'invalid_grant',
          'invalid_dpop_proof',
          'use_dpop_nonce',
          'invalid_scope',
          'invalid_target',
          'token_too_large',
        ],
      },
      async (request, reply) => {
        const body = request.body ?? {}
        const { owner: _owner, ...credential } = readCredential(request, clients, body.refresh_token, body.client_id)
        const proof = deps.dpop.read(proofRequestOf(request))
        const arrivedAt = new Date(deps.clock().getTime() - load.stalls.before())
        const issued = await load.refresh(operationOf(request, arrivedAt), {
          ...credential,
          idempotencyKey: idempotencyKeyOf(request),
          prove: async () => proof && (await deps.dpop.prove(proof, networkOf(request.source.address))),
          scope: body.scope,
          audience: body.audience,
          isGone: () => request.raw.socket.destroyed,
          spend: () => limits.refresh(request),
          spendLook: () => limits.lookOver(request),
          spendOnGarbage: () => limits.garbage(request),
        })
        request.noted = { userId: issued.subject.id, familyId: issued.sessionId }
        return sendTokens(reply, issued)
      },
    ),

    logout: endpoint(
      {
        tags: ['Sessions'],
        summary: 'Sign out',
        description:
          'Ends the session of the refresh token and deletes the cookie. Needs no access token, and answers the same when there was nothing to end.',
        security: CREDENTIAL,
        body: Type.Optional(LogoutBody),
        response: { 204: Type.Null({ description: 'Signed out' }) },
      },
      async (request, reply) => {
        const { refresh_token: inBody, client_id: named } = request.body ?? {}
        const { owner, ...credential } = readCredential(request, clients, inBody, named)
        refuseOver(await limits.logout(request), deps.metrics)
        const network = networkOf(request.source.address)
        await logout(operationOf(request, deps.clock()), { ...credential, network })
        // A cookie that the named client does not own is left alone, as its session is.
        if (credential.delivery === 'cookie' && credential.clientId === owner) clearRefreshCookie(reply, owner)
        return reply.code(204).send(null)
      },
    ),
  }
}

interface Credential {
  token: string | undefined
  delivery: Delivery
  /** Which client's the token has to be; undefined where the token alone tells. */
  clientId: string | undefined
  /** The client whose cookie this is about. */
  owner: string
}

/**
 * Reads the refresh token and checks that it may be used from where the request comes. If the cookie is the credential,
 * or would be had it been sent, the request must come from an allowed page (CSRF): an absent cookie relaxes nothing. Cookies of
 * other clients are as if they were not there.
 */
function readCredential(
  request: FastifyRequest,
  clients: Clients,
  inBody: string | undefined,
  named: string | undefined,
): Credential {
  const { origin } = request.headers
  const owner = cookieOwner(clients, named, origin)
  const cookies = refreshCookies(request, owner)
  if (cookies.length + (inBody === undefined ? 0 : 1) > 1) {
    throw new Problem('invalid_request', { detail: 'Send one refresh token, in the cookie or in the body.' })
  }
  if (inBody !== undefined) {
    refuseForeignOrigin(request, { delivery: 'body', origins: originsOf(clients, 'body', named) })
    return { token: inBody, delivery: 'body', clientId: named ?? clientOfWebView(clients, origin), owner }
  }
  // A name that is no browser client's is left to the rotation, which refuses the cookie's token for it.
  const clientId = named ?? owner
  if (cookies.length === 0) {
    // Only the cookie is at stake: no foreign page may have it deleted.
    const delivery = clientOfPage(clients, origin)?.delivery ?? 'cookie'
    refuseForeignOrigin(request, { delivery, origins: originsOf(clients, delivery, named) })
    return { token: undefined, delivery, clientId, owner }
  }
  requireOrigin(request, originsOf(clients, 'cookie', owner))
  return { token: cookies[0], delivery: 'cookie', clientId, owner }
}

/**
 * The origins of the named client. A name that does not fit the delivery is not refused here: the rotation decides
 * whether the token belongs to the client, and answers the same for every cause.
 */
function originsOf(clients: Clients, delivery: Delivery, clientId: string | undefined): Origins {
  const fitting = clients.values().filter((client) => client.delivery === delivery)
  const named = fitting.filter((client) => client.id === clientId)
  return pagesOf(named.length > 0 ? named : fitting)
}
