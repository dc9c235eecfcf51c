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
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      kinds.push(node.kind)
      return node
    },
    transformResult: async ({ result }) => result,
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
