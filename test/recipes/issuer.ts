import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { testEnvironment } from '../support/app.ts'
import { noteSecret } from '../support/canary.ts'
import type { ProofKey } from '../support/dpop.ts'
import { postJson } from '../support/post-json.ts'
import { freePort, type RunningProcess, startServer } from '../support/server.ts'

const cli = join(import.meta.dirname, '../../src/cli/main.ts')

interface Account {
  email: string
  password: string
}

/** Whoever has the role `clerk`, and somebody without a role. */
type Who = 'clerk' | 'visitor'

export interface ServiceClient {
  id: string
  secret: string
  /** Whether it has proved itself by its secret. */
  isProved(): Promise<boolean>
}

/** The real server, as docs/recipes/README.md starts it. */
export interface OrdersIssuer extends AsyncDisposable {
  url: string
  /** Its settings, for commands beside it. */
  env: Record<string, string>
  /** Exchanges of a refresh token since it was started last, answered or not. */
  rotations(): Promise<number>
  /** Registered at the first start. */
  accounts: Record<Who, Account>
  /** As a native client. @param key that the session is bound to. @returns the access token. */
  signIn(who: Who, asked?: { scope?: string; audience?: string }, key?: ProofKey): Promise<string>
  registerService(): Promise<ServiceClient>
  start(): Promise<void>
  stop(): Promise<void>
}

/** @param databaseUrl of a database that is migrated. Not started yet, and without a token, until start(). */
export async function prepareIssuer(
  databaseUrl: string,
  settings: Record<string, string> = {},
  host = '127.0.0.1',
): Promise<OrdersIssuer> {
  const port = await freePort()
  const url = `http://${host}:${port}`
  const env = {
    ...testEnvironment(databaseUrl),
    PORT: String(port),
    ISSUER: url,
    AUDIENCE: 'orders,invoices',
    SCOPES: 'orders:write',
    ...settings,
  }
  const command = async (...args: string[]): Promise<string> => {
    const around = { env: { PATH: process.env.PATH ?? '', ...env } }
    const { stdout } = await promisify(execFile)(process.execPath, [cli, ...args], around)
    return stdout
  }
  const accounts = { clerk: inventAccount(), visitor: inventAccount() }
  let server: RunningProcess | undefined
  let registered = false
  const register = async () => {
    for (const account of Object.values(accounts)) await post(`${url}/register`, account)
    await command('users', 'roles', accounts.clerk.email, '--add', 'clerk')
  }
  const stop = async () => {
    await server?.kill()
  }
  return {
    url,
    env,
    accounts,
    rotations: async () => {
      const text = await (await fetch(`${server?.metricsUrl}/metrics`)).text()
      return Number(/^claviger_refreshes_total\{outcome="rotated"\} (\d+)$/m.exec(text)?.[1] ?? 0)
    },
    start: async () => {
      server = await startServer({ databaseUrl, env })
      if (!registered) await register()
      registered = true
    },
    signIn: async (who, asked = {}, key) => {
      const proof = key?.proof({ method: 'POST', url: `${url}/login` })
      const body = { ...accounts[who], client_id: 'native', ...asked }
      const reply = await post(`${url}/login`, body, proof === undefined ? {} : { dpop: proof })
      return String(reply.access_token)
    },
    registerService: async () => {
      const added = await command('clients', 'add', `orders ${randomUUID()}`, '--type', 'service', '--json')
      const { client_id: id, client_secret: secret } = JSON.parse(added) as Record<
        'client_id' | 'client_secret',
        string
      >
      noteSecret(secret)
      const isProved = async () => {
        const { client } = JSON.parse(await command('clients', 'show', id, '--json')) as {
          client: { secrets: { last_used_at: string | null }[] }
        }
        return client.secrets.some((each) => each.last_used_at !== null)
      }
      return { id, secret, isProved }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function inventAccount(): Account {
  const password = `a phrase of ${randomUUID()}`
  noteSecret(password)
  return { email: `user-${randomUUID()}@example.com`, password }
}

async function post(url: string, body: object, headers: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const answer = await postJson(url, body, headers)
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url} was answered ${answer.status}: ${text}`)
  return JSON.parse(text) as Record<string, unknown>
}
