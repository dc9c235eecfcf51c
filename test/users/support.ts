import type { LightMyRequestResponse } from 'fastify'
import type { KyselyPlugin } from 'kysely'
import type { TestApp } from '../support/app.ts'

/** What everybody may see of a reply and nobody may tell accounts apart by. The request's own id and the time aside. */
export function visible(answer: LightMyRequestResponse) {
  const { instance: _id, ...body } = answer.body === '' ? {} : answer.json<Record<string, unknown>>()
  const { 'x-request-id': _request, date: _date, ...headers } = answer.headers
  return { status: answer.statusCode, body, headers }
}

/** The kinds of the statements that `work` sends to the database, in order. */
export async function statements(t: TestApp, work: () => Promise<unknown>): Promise<string[]> {
  const kinds: string[] = []
  const seen = new Set<unknown>()
  const note = (id: unknown, kind: string) => {
    if (!seen.has(id)) kinds.push(kind)
    seen.add(id)
  }
  const plugin: KyselyPlugin = {
    transformQuery: ({ node, queryId }) => {
      note(queryId, node.kind)
      return node
    },
    // Those that are built once are not built for the plugin to see.
    transformResult: async ({ result, queryId }) => {
      note(queryId, 'RawNode')
      return result
    },
  }
  const plain = t.deps.db
  t.deps.db = plain.withPlugin(plugin)
  try {
    await work()
  } finally {
    t.deps.db = plain
  }
  return kinds
}

export async function auditOf(t: TestApp, type: string) {
  return await t.db.selectFrom('audit').selectAll().where('type', '=', type).orderBy('seq').execute()
}

export async function liveFamilies(t: TestApp, userId: string): Promise<string[]> {
  const rows = await t.db
    .selectFrom('families')
    .select('id')
    .where('user_id', '=', userId)
    .where('ended_at', 'is', null)
    .execute()
  return rows.map((row) => row.id)
}
