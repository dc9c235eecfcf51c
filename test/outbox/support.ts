import { transact } from '../../src/db/errors.ts'
import type { OutboxTable } from '../../src/db/schema.ts'
import { type Attempt, enqueue, type Handlers } from '../../src/outbox/outbox.ts'
import type { TestApp } from '../support/app.ts'

declare module '../../src/outbox/outbox.ts' {
  interface Payloads {
    /** Two kinds that only tests deliver. */
    note: { text: string }
    errand: { text: string }
  }
}

export async function enqueueNote(t: Pick<TestApp, 'deps'>, text: string, kind: 'note' | 'errand' = 'note') {
  await transact(t.deps.db, (tx) => enqueue(tx, t.deps, t.deps.clock(), { kind, payload: { text } }))
}

export function rows(t: Pick<TestApp, 'db'>): Promise<Row[]> {
  return t.db.selectFrom('outbox').selectAll().orderBy('created_at').orderBy('id').execute()
}

type Row = {
  [Column in keyof OutboxTable]: OutboxTable[Column] extends { __select__: infer T } ? T : OutboxTable[Column]
}

export interface Received extends Omit<Attempt, 'signal'> {
  text: string
}

/** Who takes notes, and does with each what `then` says. */
export function receiver(then: (text: string, attempt: Attempt) => unknown = () => {}) {
  const received: Received[] = []
  const take = async ({ text }: { text: string }, attempt: Attempt) => {
    const { signal: _, ...facts } = attempt
    received.push({ text, ...facts })
    await then(text, attempt)
  }
  const handlers: Handlers = { note: take, errand: take }
  return { received, texts: () => received.map(({ text }) => text), handlers }
}
