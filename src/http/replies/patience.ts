import type { ServerResponse } from 'node:http'

/** What a connection may hold in any case; see connections.ts. */
const SMALL = 64 * 1024

/** How long a reader may take: so long in any case, and the rest by the size of the document. */
export interface Patience {
  leastMs: number
  bytesPerMs: number
}

/** A megabyte a second. */
export const PATIENCE: Patience = { leastMs: 10_000, bytesPerMs: 1000 }

/**
 * Cuts a reader off who takes a large document too slowly. Replies share its bytes, but one that is made anew every second is kept in
 * as many versions as still have a reader: readers of twelve megabytes, at the pace that connections.ts puts up with, would keep
 * thousands.
 */
export function expectTaken(reply: ServerResponse, bytes: number, { leastMs, bytesPerMs } = PATIENCE): void {
  // One that has closed does not say so again: readers who order and leave would each leave a timer and their reply behind.
  if (bytes <= SMALL || reply.destroyed) return
  const timer = setTimeout(() => reply.destroy(), leastMs + bytes / bytesPerMs).unref()
  reply.once('close', () => clearTimeout(timer))
}
