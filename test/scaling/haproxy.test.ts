import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { createHonestClient, met, signUpOver, storm } from '../support/honest-client.ts'
import { findProgram, startMiddleman } from '../support/middleman.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { freePort, type RunningProcess, startServer } from '../support/server.ts'

const program = findProgram('haproxy') ?? ''
if (!program) console.warn('skipped: there is no haproxy on this machine')

/** As docs/scaling.md has it. */
const configuration = (mode: string, port: number, servers: string[]) => `
global
  maxconn 1000
defaults
  mode ${mode}
  timeout connect 2s
  timeout client 60s
  timeout server 30s
  ${mode === 'http' ? 'option forwardfor' : ''}
  option redispatch
  retries 3
frontend public
  bind 127.0.0.1:${port}
  default_backend claviger
backend claviger
  ${mode === 'http' ? 'http-request set-header X-Request-Id %[uuid()]' : ''}
  balance leastconn
  option httpchk GET /readyz
  http-check expect status 200
  default-server check inter 500ms fall 2 rise 1 observe layer4
${servers.map((each, index) => `  server s${index} ${each}`).join('\n')}
`

describe.skipIf(!program)('behind HAProxy', () => {
  test.each(['tcp', 'http'])(
    'mode %s: servers are replaced one by one in a storm, and no client notices',
    async (mode) => {
      const database = await cloneDatabase()
      const ports = [String(await freePort()), String(await freePort())]
      const secret = randomBytes(32).toString('base64')
      // In production: the time between turning unready and closing the door is another one.
      const start = (port: string): Promise<RunningProcess> =>
        startServer({
          databaseUrl: database.url,
          env: {
            PORT: port,
            NODE_ENV: 'production',
            ISSUER: 'https://auth.example.com',
            AUDIENCE: 'https://api.example.com',
            CLAVIGER_SECRET: secret,
            ...(mode === 'http' ? { TRUSTED_PROXIES: '127.0.0.1' } : {}),
          },
        })
      const servers = await Promise.all(ports.map(start))
      const first = [...servers]
      const balancer = await startMiddleman({
        program,
        files: ({ port }) => ({
          'haproxy.cfg': configuration(
            mode,
            port,
            ports.map((each) => `127.0.0.1:${each}`),
          ),
        }),
        args: (folder) => ['-db', '-f', `${folder}/haproxy.cfg`],
      })
      try {
        const url = `http://127.0.0.1:${balancer.port}`
        const { tokens } = await signUpOver(url, 12)
        const clients = tokens.map((each) => createHonestClient({ ...each, server: () => url }))
        const replacement = (async () => {
          for (const [index, port] of ports.entries()) {
            await sleep(500)
            expect(await servers[index]?.stop()).toBe(0)
            // What the balancer makes of a server that is gone is seen only while it is gone.
            await sleep(500)
            servers[index] = await start(port)
            // A deployment waits until the balancer has seen the new one.
            await sleep(1500)
          }
        })()
        // Dense enough that a door that is closed too early is met by several.
        await Promise.all([storm(clients, replacement, { pauseMs: 10 }), replacement])
        for (const client of clients) await client.refresh()
        expect(Math.min(...clients.map((client) => client.refreshes))).toBeGreaterThan(20)
        expect(met(clients, 503), 'a server that stops still serves').toBe(0)
        expect(met(clients, 0), 'nobody met a closed door').toBe(0)
        // A connection that is kept alive stays where it was opened: in mode tcp the second successor may get none.
        const busy = mode === 'http' ? [...first, ...servers] : first
        for (const server of busy) expect(server.output(), 'each has served').toContain('/refresh')
      } finally {
        await balancer.close()
        await Promise.all(servers.map((server) => server.kill()))
        await database.drop()
      }
    },
    120_000,
  )
})
