import type { ServerResponse } from 'node:http'

/** What a connection may hold in any case; see connections.ts. */
const SMALL = 64 * 1024
const LEAST_MS = 10_000
/** A megabyte a second. */
const BYTES_PER_MS = 1000

/**
 * Cuts a reader off who takes a large document too slowly. Replies share its bytes, but one that is made anew every second is kept in
 * as many versions as still have a reader: readers of twelve megabytes, at the pace that connections.ts puts up with, would keep
 * thousands.
 */
export function expectTaken(reply: ServerResponse, bytes: number, leastMs = LEAST_MS): void {
  if (bytes <= SMALL) return
  const timer = setTimeout(() => reply.destroy(), leastMs + bytes / BYTES_PER_MS).unref()
  reply.once('close', () => clearTimeout(timer))
}
