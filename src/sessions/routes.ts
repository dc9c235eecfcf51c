import { Type } from 'typebox'
import type { Clock } from '../clock.ts'
import { Problem } from '../errors.ts'
import { endpoint } from '../http/requests/endpoint.ts'
import { operationOf } from '../http/requests/facts.ts'
import { Id, Time } from '../http/requests/schemas.ts'
import { userOf } from '../principal.ts'
import { isUuid } from '../uuid.ts'
import { type EndDeps, endOwn, endSessions } from './end.ts'
import { listLive } from './list.ts'

const SessionReply = Type.Object({
  id: Id,
  client_id: Type.String({ examples: ['web'] }),
  created_at: Time,
  last_used_at: Time,
  expires_at: { ...Time, description: 'If it is not used before.' },
  user_agent: Type.Union([Type.String(), Type.Null()], { examples: ['Mozilla/5.0 …'] }),
  address: Type.Union([Type.String(), Type.Null()], { examples: ['203.0.113.7'] }),
  current: Type.Boolean(),
})

const IncludingCurrent = Type.Object(
  { including_current: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])) },
  { additionalProperties: false },
)

/** The user's own sessions. */
export function sessionEndpoints(deps: EndDeps & { clock: Clock }) {
  return {
    list: endpoint(
      {
        tags: ['Account'],
        summary: 'List live sessions',
        description: 'Of one’s own account, the newest first.',
        response: {
          200: Type.Object(
            { sessions: Type.Array(SessionReply) },
            { description: 'Live sessions, the one that asks included' },
          ),
        },
      },
      async ({ principal }) => {
        const { subject, sessionId } = userOf(principal)
        const { sessions } = await listLive(deps.db, deps.clock(), { userId: subject.id, limit: 1000 })
        return {
          sessions: sessions.map((session) => ({
            id: session.id,
            client_id: session.clientId,
            created_at: session.createdAt.toISOString(),
            last_used_at: session.lastUsedAt.toISOString(),
            expires_at: session.expiresAt.toISOString(),
            user_agent: session.userAgent,
            address: session.address,
            current: session.id === sessionId,
          })),
        }
      },
    ),

    end: endpoint(
      {
        tags: ['Account'],
        summary: 'End one session',
        description: 'One’s own, this one included. Its refresh token is good for nothing from then on.',
        params: Type.Object({ id: Type.String({ maxLength: 64, description: 'As the list has it.' }) }),
        response: { 204: Type.Null({ description: 'Ended' }) },
        problems: ['not_found'],
      },
      async (request, reply) => {
        const { id } = request.params
        const theirs = { id: id.toLowerCase(), userId: userOf(request.principal).subject.id }
        // Another user's session, an ended one and nonsense get the same answer, so that guessing ids reveals nothing.
        const ended = isUuid(id) && (await endOwn(deps, operationOf(request, deps.clock()), theirs))
        if (!ended) throw new Problem('not_found')
        return reply.code(204).send(null)
      },
    ),

    endOthers: endpoint(
      {
        tags: ['Account'],
        summary: 'End all other sessions',
        description: 'With `including_current=true`, this one too.',
        querystring: IncludingCurrent,
        response: { 204: Type.Null({ description: 'Ended' }) },
      },
      async (request, reply) => {
        const { subject, sessionId } = userOf(request.principal)
        const except = request.query.including_current === 'true' ? undefined : sessionId
        const ending = { userId: subject.id, cause: 'session_ended_by_user', except } as const
        await endSessions(deps, operationOf(request, deps.clock()), ending)
        return reply.code(204).send(null)
      },
    ),
  }
}
