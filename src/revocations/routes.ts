import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { networkOf } from '../http/guards/proxies.ts'
import { sendDocument } from '../http/replies/documents.ts'
import { expectTaken, PATIENCE, type Patience } from '../http/replies/patience.ts'
import { type Endpoint, endpoint } from '../http/requests/endpoint.ts'
import { createDocuments, TTL } from './documents.ts'
import { POSITION, parsePosition } from './entry.ts'
import type { Feed } from './feed.ts'
import type { Listener } from './places.ts'
import { receiptEndpoint } from './receipts/routes.ts'
import { createStreams, type Opened, type Streams } from './streams.ts'

type Needs = Parameters<typeof createStreams>[0] & Parameters<typeof receiptEndpoint>[0] & { feed: Feed }

/** Names the service client that a request proves to come from. @throws Problem if it comes from none. */
type Authenticate = (request: FastifyRequest) => Promise<{ id: string }>

/**
 * The list, the stream, and where is reported what was heard. The feed follows the database while the app listens.
 * @param patience with whoever orders the list.
 */
export function feedEndpoints(
  app: FastifyInstance,
  deps: Needs,
  authenticate: Authenticate,
  patience: Patience = PATIENCE,
) {
  const { feed } = deps
  const streams = createStreams(deps, feed)
  app.addHook('onListen', async () => feed.start())
  // Before the app waits for the replies that are under way: these would never end.
  app.addHook('preClose', async () => streams.end())
  app.addHook('onClose', () => feed.stop())
  return {
    list: list(deps, feed, patience),
    stream: stream(streams, authenticate),
    receipts: receiptEndpoint(deps, authenticate),
  }
}

const LIST_TYPE = 'application/revocations+jwt'
const LIST_HEADERS = {
  'content-type': LIST_TYPE,
  'cache-control': `public, max-age=${TTL}`,
  'cross-origin-resource-policy': 'cross-origin',
}
const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  // nginx collects replies otherwise, and would hand the events over once there are enough of them.
  'x-accel-buffering': 'no',
}

const Since = Type.Object(
  {
    since: Type.Optional(
      Type.String({
        pattern: POSITION,
        description:
          '`<epoch>.<seq>`, the last number that is known: only the next part of what came later. Go on from its last entry until `seq` is reached. Of another epoch, or ahead: the whole list.',
        examples: ['pX2vZ0rY3mJq8tLw5nKc1A.4711'],
      }),
    ),
  },
  { additionalProperties: false },
)

/** The list for whoever polls, or begins. */
function list(deps: Parameters<typeof createDocuments>[0], feed: Feed, patience: Patience): Endpoint {
  const documents = createDocuments(deps, feed.held)
  return endpoint(
    {
      tags: ['Keys'],
      summary: 'What was revoked',
      description:
        'A signed list (JWS, `typ` `revocations+jwt`) of what was revoked while tokens of it may still live: `sid`, all tokens of a session; `sub`, tokens of a user or a service issued until `revoked_at`; `kid`, tokens signed by a key; `all`, everybody’s tokens issued until `revoked_at`. Everything that was revoked until `iat` is in it. It is signed once a second at most.',
      querystring: Since,
      response: {
        200: {
          description: 'The list, or the part of it that was asked for',
          content: {
            [LIST_TYPE]: { schema: Type.String({ examples: ['eyJhbGciOiJSUzI1NiIsInR5cCI6InJldm9jYXRpb25z…'] }) },
          },
        },
        304: Type.Null({ description: 'Unchanged since the `ETag` that was sent' }),
      },
      problems: ['unavailable'],
    },
    async (request, reply) => {
      const { since } = request.query
      await feed.renew()
      const { body, etag } = await documents(since === undefined ? undefined : parsePosition(since))
      expectTaken(reply.raw, body.length, patience)
      return sendDocument(request, reply, { body, headers: { ...LIST_HEADERS, etag } })
    },
  )
}

const ResumeHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      description: '`<epoch>.<seq>`, the `id` of the last event that was received: go on from there.',
      examples: ['pX2vZ0rY3mJq8tLw5nKc1A.4711'],
    }),
  ),
})
const EVENT =
  'id: pX2vZ0rY3mJq8tLw5nKc1A.4712\nevent: revocation\ndata: eyJhbGciOiJSUzI1NiIsInR5cCI6InNlY2V2ZW50K2p3dCIs…\n\n'

function stream(streams: Streams, authenticate: Authenticate): Endpoint {
  const { schema, handler } = endpoint(
    {
      tags: ['Keys'],
      summary: 'What is being revoked',
      description:
        'Server-sent events. `revocation`: a Security Event Token (RFC 8417) with an event of CAEP 1.0 and the entry of the list. `heartbeat`, every two seconds: the list without entries; everything that was revoked until its `iat` has been sent. `reset`: read the list, this stream does not lead on from the `Last-Event-ID` that was sent. Without that header it begins at the present: read the list once it is open. 20 streams from an address; a service that authenticates, as for receipts, has 50.',
      security: [{}, { clientSecret: [] }, { feedToken: [] }],
      headers: ResumeHeaders,
      response: {
        200: {
          description: 'The stream',
          content: { 'text/event-stream': { schema: Type.String({ examples: [EVENT] }) } },
        },
      },
      problems: ['invalid_client', 'too_many_requests', 'unavailable'],
    },
    async (request, reply) => {
      if (request.method === 'HEAD') return reply.headers(STREAM_HEADERS).send('')
      const { authorization } = request.headers
      const listener: Listener =
        authorization === undefined
          ? { network: networkOf(request.source.address) }
          : { clientId: (await authenticate(request)).id }
      await streams.join(listener, lastEventIdOf(request), () => openReply(request, reply))
      return reply
    },
  )
  // In the words of RFC 6749, as everywhere that clients prove themselves.
  return { schema, handler, errors: 'oauth' }
}

function lastEventIdOf({ headers }: FastifyRequest): string | undefined {
  const sent = headers['last-event-id']
  // Browsers send it empty if the last event had none.
  return typeof sent === 'string' && sent !== '' ? sent : undefined
}

function openReply({ raw: { socket } }: FastifyRequest, reply: FastifyReply): Opened | undefined {
  const { raw } = reply
  if (raw.destroyed || socket.destroyed) return undefined
  reply.headers(STREAM_HEADERS).hijack()
  raw.writeHead(200, reply.getHeaders() as Record<string, string>)
  const onGone = (act: () => void) => {
    raw.once('close', act)
    // A reply that waits behind another one on its connection does not hear of its end. A stranger chooses how many wait, up to
    // the places of an address, and Node would write to standard error that more than ten look like a leak.
    socket.setMaxListeners(0).once('close', act)
  }
  return { reply: raw, onGone }
}
