import { randomUUIDv7 } from 'node:crypto'
import type { Bell } from '../bell.ts'
import type { KeyList } from '../config/secrets.ts'
import { afterCommit } from '../db/after-commit.ts'
import type { Tx } from '../db/schema.ts'
import type { Mail } from './mail/mail.ts'
import { sealPayload } from './payload.ts'
import { insertDelivery } from './queries.ts'

/** What each kind of delivery carries, as JSON has it. A feature above this room adds its kind from there (`declare module`). */
export interface Payloads {
  mail: Mail
}

export type Kind = keyof Payloads

export type Delivery = { [K in Kind]: { kind: K; payload: Payloads[K] } }[Kind]

export interface Attempt {
  /** Of the delivery: the same at every attempt. */
  id: string
  /** 1 at the first. */
  number: number
  enqueuedAt: Date
  /**
   * When it is aborted, nobody waits for this attempt any more and another one may begin elsewhere: a handler must not go
   * on then.
   */
  signal: AbortSignal
}

/**
 * Hands one delivery over, and resolves when it has been accepted. If it throws, the delivery is tried again, up to some
 * days later; not if it throws Undeliverable.
 */
export type Handler<K extends Kind> = (payload: Payloads[K], attempt: Attempt) => Promise<void>

export type Handlers = { readonly [K in Kind]?: Handler<K> }

/**
 * Writes a delivery, in the transaction of what causes it, so that neither exists without the other. It goes out after the
 * commit, at least once: a second time only if a server dies while it hands it over.
 */
export async function enqueue(
  tx: Tx,
  { serverKeys, outboxBell }: { serverKeys: KeyList; outboxBell: Bell },
  now: Date,
  { kind, payload }: Delivery,
): Promise<void> {
  const row = { id: randomUUIDv7(), kind }
  await insertDelivery(tx, now, { ...row, ...sealPayload(serverKeys[0], row, payload) })
  afterCommit(tx, outboxBell.ring)
}
