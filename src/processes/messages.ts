import type { Snapshot } from '../metrics.ts'

/** What the primary tells a worker. */
export type Order =
  /** The first of all: the worker may begin. */
  | { kind: 'begin'; slot: number; of: number; leads: boolean }
  /** From now on it does what is done once for all. */
  | { kind: 'lead' }
  /** Answer with what was measured, which also shows that the worker still runs. */
  | { kind: 'report'; id: number }
  /** Which of the proofs were here before, in the order in which they were asked about. */
  | { kind: 'seen'; id: number; seen: boolean[] }
  /** Others take the connections: it may leave. */
  | { kind: 'leave' }
  /** The whole server ends. */
  | { kind: 'stop' }

/** What a worker tells the primary. */
export type Notice =
  | { kind: 'ready'; url: string }
  /** Asks about proofs, by hashes. */
  | { kind: 'ask'; id: number; keys: string[] }
  /** It was told to end, or has met an error that nothing caught, and waits for its order to leave. */
  | { kind: 'leaving'; crashed: boolean }
  /** Without an id where nobody has asked: the last before it ends. */
  | { kind: 'report'; id?: number; snapshot: Snapshot }
