import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import type { Lifecycle } from './health.ts'

/** What runs when the signal comes may finish; what takes longer is cut off. */
const CUT_OFF_MS = 25_000

/**
 * First every reply says that its connection ends while new ones are still accepted, so that nobody meets a closed
 * door: a load balancer has time to read `/readyz`, and connections that are kept alive to hear that they end. Then the
 * door closes and what is under way may finish.
 */
export async function drain(
  app: FastifyInstance,
  config: Pick<Config, 'SHUTDOWN_DELAY_SECONDS'>,
  lifecycle: Lifecycle,
): Promise<void> {
  lifecycle.stopping = true
  await sleep(config.SHUTDOWN_DELAY_SECONDS * 1000)
  const cutOff = setTimeout(() => app.server.closeAllConnections(), CUT_OFF_MS)
  await app.close()
  clearTimeout(cutOff)
}

/** Resolves when the port is open. @throws the system's error, such as EADDRINUSE. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening')
}

/** At once: whoever is connected is cut off. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** With the port that it really has. */
export function urlOf(host: string, server: Server): string {
  const { port } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
