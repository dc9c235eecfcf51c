import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findProgram, startMiddleman } from '../support/middleman.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { comeOneByOne } from './streams.ts'

// nginx, Caddy and Traefik, for which there are files in deploy/, are in proxies.test.ts.

interface Kind {
  name: string
  program: string
  configuration(place: { port: number; folder: string; server: string }): string
  args(file: string): string[]
}

/** As docs/scaling.md has it. */
const haproxy: Kind = {
  name: 'HAProxy',
  program: 'haproxy',
  configuration: ({ port, server }) => `
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 30s
  option forwardfor
frontend public
  bind 127.0.0.1:${port}
  default_backend claviger
backend claviger
  server a ${server}
`,
  args: (file) => ['-db', '-f', file],
}

/** As Debian's packages have it, and nothing else. */
const apache: Kind = {
  name: 'Apache',
  program: 'apache2',
  configuration: ({ port, folder, server }) => `
ServerName localhost
ServerRoot ${folder}
DefaultRuntimeDir ${folder}
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
Listen 127.0.0.1:${port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
ProxyPass / http://${server}/
`,
  args: (file) => ['-D', 'FOREGROUND', '-f', file],
}

const kinds = [haproxy, apache].map((kind) => ({ ...kind, path: findProgram(kind.program) ?? '' }))
for (const { name, path } of kinds) if (!path) console.warn(`skipped: there is no ${name} on this machine`)

describe.skipIf(kinds.every(({ path }) => !path))('the stream of revocations', () => {
  let database: TestDatabase
  let server: RunningProcess

  beforeAll(async () => {
    database = await cloneDatabase()
    server = await startServer({ databaseUrl: database.url, env: { TRUSTED_PROXIES: '127.0.0.1' } })
  })

  afterAll(async () => {
    await server?.kill()
    await database?.drop()
  })

  test.each(kinds.filter(({ path }) => path))('comes through $name as it is written', async (kind) => {
    const proxy = await startMiddleman({
      program: kind.path,
      writes: true,
      files: ({ port, folder }) => ({
        configuration: kind.configuration({ port, folder, server: server.url.replace('http://', '') }),
      }),
      args: (folder) => kind.args(`${folder}/configuration`),
    })
    const gone = new AbortController()
    try {
      const url = `http://127.0.0.1:${proxy.port}`
      const { status, body } = await fetch(`${url}/.well-known/revocations/stream`, { signal: gone.signal })
      expect(status).toBe(200)
      const pieces: string[] = []
      const reading = (async () => {
        for await (const chunk of body ?? []) pieces.push(Buffer.from(chunk).toString())
      })()
      reading.catch(() => {})
      await comeOneByOne(pieces)
      const credentials = {
        email: `${kind.program}@example.com`,
        password: `a phrase for ${kind.name}, and a long one`,
      }
      expect((await postJson(`${url}/register`, credentials)).status).toBe(201)
      const login = await postJson(`${url}/login`, { ...credentials, client_id: 'native' })
      const { refresh_token } = (await login.json()) as { refresh_token: string }
      expect((await postJson(`${url}/logout`, { refresh_token })).status).toBe(204)
      await expect.poll(() => pieces.join(''), { timeout: 1500 }).toContain('event: revocation')
    } finally {
      gone.abort()
      await proxy.close()
    }
  })
})
