import { writeFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages } from '../recipes/node-packages.ts'
import { type Middleman, startMiddleman } from '../support/middleman.ts'
import { fillIn } from './gateway-files.ts'

/** How stale the gate's view may be here. The page says ten seconds; this is the least that it takes. */
export const STALE_SECONDS = 5

interface Place {
  folder: string
  port: number
  /** Of the gate that it asks. */
  gate: number
  /** Host and port of the service behind it. */
  service: string
}

interface Kind {
  program: string
  /** What it has of the page. */
  paths: string[]
  files(place: Place): Record<string, string>
  args(folder: string): string[]
}

const GATE = '/srv/orders/gate.mjs'

const caddy: Kind = {
  program: 'caddy',
  paths: [GATE, '/etc/caddy/Caddyfile'],
  files: ({ port, gate, service }) => ({
    Caddyfile: `{\n\tadmin off\n}\n${fillIn('/etc/caddy/Caddyfile', {
      '127.0.0.1:8080': `127.0.0.1:${port}`,
      '127.0.0.1:4180': `127.0.0.1:${gate}`,
      '127.0.0.1:3001': service,
    })}`,
  }),
  args: (folder) => ['run', '--config', `${folder}/Caddyfile`],
}

const traefik: Kind = {
  program: 'traefik',
  paths: ['/etc/traefik/orders.yml'],
  files: ({ folder, port, gate, service }) => ({
    'traefik.yml': `
entryPoints: { websecure: { address: '127.0.0.1:${port}' } }
providers: { file: { filename: ${folder}/orders.yml } }
`,
    'orders.yml': fillIn('/etc/traefik/orders.yml', {
      'Host(`orders.example.com`)': 'PathPrefix(`/`)',
      '      tls: { certResolver: letsencrypt }\n': '',
      '127.0.0.1:4180': `127.0.0.1:${gate}`,
      '127.0.0.1:3001': service,
    }),
  }),
  args: (folder) => [`--configFile=${folder}/traefik.yml`],
}

export const kinds = { caddy, traefik }

export async function startGateway(
  kind: Kind,
  { program, gate, service }: { program: string; gate: number; service: string },
): Promise<Middleman> {
  return await startMiddleman({
    program,
    writes: true,
    files: ({ port, folder }) => kind.files({ folder, port, gate, service }),
    args: kind.args,
  })
}

/** The program of the page, with @claviger/verifier as it is published. */
export async function startGate(issuer: string): Promise<Middleman> {
  const home = await mkdtemp(join(tmpdir(), 'claviger-gate-'))
  await writeFile(join(home, 'package.json'), '{ "type": "module" }')
  await installPackages(home, 'verifier', ['jose'])
  const gate = await startMiddleman({
    program: process.execPath,
    writes: true,
    files: ({ port }) => {
      const text = fillIn(GATE, {
        'https://auth.example.com': issuer,
        "maxStaleness: '10s'": `maxStaleness: '${STALE_SECONDS}s'`,
        'listen(4180,': `listen(${port},`,
      })
      // Beside its packages.
      writeFileSync(join(home, 'gate.mjs'), text)
      return {}
    },
    args: () => [join(home, 'gate.mjs')],
  })
  return { ...gate, close: () => gate.close().then(() => rm(home, { recursive: true, force: true })) }
}
