import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../../config/config.ts'
import type { Lifecycle } from './health.ts'

/** Requests under way when the signal comes may finish within this time; then they are cut off. */
const CUT_OFF_MS = 25_000

/**
 * At first new connections are still accepted, but every reply announces the end of its connection: load balancers have
 * time to read `/readyz`, and clients that keep connections alive learn that these end. Then the listener closes, and
 * requests that are under way may finish.
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

/**
 * Takes no new connections, where other processes take them, and waits until those that are open have ended, `patienceMs` at
 * most. Idle ones are not closed: a request may be on its way, and it would be lost.
 */
export async function stepAside(
  { server }: Pick<FastifyInstance, 'server'>,
  lifecycle: Lifecycle,
  { patienceMs, hurry }: { patienceMs: number; hurry: AbortSignal },
): Promise<void> {
  lifecycle.leaving = true
  // Not the method of HTTP servers, which closes idle connections as well.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  const waited = sleep(patienceMs, undefined, { signal: hurry }).catch(() => {})
  await Promise.race([closed, waited])
}

/** Resolves when the port is open. @throws the system's error, such as EADDRINUSE. */
export async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening')
}

type ListenerSetting = 'HOST' | 'PORT' | 'METRICS_HOST' | 'METRICS_PORT'

/** A listener cannot be opened. Names the setting to change. */
export class ListenError extends Error {
  readonly setting: ListenerSetting
  constructor(setting: ListenerSetting, message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'ListenError'
    this.setting = setting
  }
}

/** Waits until the listener of two settings is open. @throws ListenError, or the system's error. */
export async function opening(
  listener: { host: 'HOST' | 'METRICS_HOST'; port: 'PORT' | 'METRICS_PORT' },
  config: Pick<Config, ListenerSetting>,
  opened: Promise<unknown>,
): Promise<void> {
  try {
    await opened
  } catch (error) {
    const [host, port] = [config[listener.host], config[listener.port]]
    switch ((error as { code?: unknown }).code) {
      case 'EADDRINUSE':
        throw new ListenError(listener.port, `port ${port} is in use: choose another one with ${listener.port}`, error)
      case 'EACCES':
        throw new ListenError(
          listener.port,
          `port ${port} is not for this user to open: choose one above 1023 with ${listener.port}`,
          error,
        )
      case 'EADDRNOTAVAIL':
        throw new ListenError(listener.host, `${listener.host} is ${host}, which is no address of this machine`, error)
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        throw new ListenError(listener.host, `${listener.host} is ${host}, a name that does not resolve`, error)
      default:
        throw error
    }
  }
}

/** Closes at once, cutting off open connections. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** The URL of a listener, with its actual port. */
export function urlOf(host: string, server: Server): string {
  const { port } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
