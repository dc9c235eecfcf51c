import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeCertificate } from '../support/certificate.ts'
import { type Middleman, startMiddleman } from '../support/middleman.ts'
import { read } from '../support/pages.ts'
import { freePort } from '../support/server.ts'

export const HOST = 'auth.example.com'

export interface Proxy extends AsyncDisposable {
  /** Of its listener with TLS. */
  port: number
  /** Of the one without. */
  plainPort: number
  certificate: string
  /** All that it has written: logs, output, errors. */
  logged(): string
}

interface Place {
  folder: string
  port: number
  plainPort: number
  /** Of the server behind it. */
  server: string
}

interface Kind {
  program: string
  /** The files of deploy/, but for ports and certificates. */
  files(place: Place): Record<string, string>
  args(folder: string): string[]
  logs: string[]
}

/** Replaces what an operator fills in. @throws Error if that is not in the file. */
function fillIn(file: string, values: Record<string, string>): string {
  let text = read(`deploy/${file}`)
  for (const [from, to] of Object.entries(values)) {
    if (!text.includes(from)) throw new Error(`${file} does not say ${from}`)
    text = text.replaceAll(from, to)
  }
  return text
}

const nginx: Kind = {
  program: 'nginx',
  files: ({ folder, port, plainPort, server }) => ({
    'claviger.conf': fillIn('nginx/claviger.conf', {
      'listen 80;': `listen 127.0.0.1:${plainPort};`,
      'listen [::]:80;': '',
      'listen 443 ssl http2;': `listen 127.0.0.1:${port} ssl http2;`,
      'listen [::]:443 ssl http2;': '',
      '/etc/ssl/certs/auth.example.com.pem': `${folder}/cert.pem`,
      '/etc/ssl/private/auth.example.com.key': `${folder}/key.pem`,
      '/var/log/nginx/': `${folder}/`,
      '127.0.0.1:3000': server,
    }),
    'nginx.conf': `
      daemon off;
      master_process off;
      pid ${folder}/pid;
      error_log ${folder}/error.log;
      events {}
      http {
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
        include ${folder}/claviger.conf;
      }`,
  }),
  args: (folder) => ['-c', `${folder}/nginx.conf`, '-e', `${folder}/error.log`],
  logs: ['error.log', 'claviger.log', 'claviger-error.log'],
}

const caddy: Kind = {
  program: 'caddy',
  files: ({ folder, port, plainPort, server }) => ({
    Caddyfile: fillIn('caddy/Caddyfile', {
      '\n{\n': `\n{\n\tadmin off\n\thttp_port ${plainPort}\n\thttps_port ${port}\n\tdefault_bind 127.0.0.1\n`,
      [`\n${HOST} {\n`]: `\n${HOST} {\n\ttls ${folder}/cert.pem ${folder}/key.pem\n`,
      '127.0.0.1:3000': server,
    }),
  }),
  args: (folder) => ['run', '--config', `${folder}/Caddyfile`],
  logs: [],
}

const traefik: Kind = {
  program: 'traefik',
  files: ({ folder, port, plainPort, server }) => ({
    'traefik.yml': fillIn('traefik/traefik.yml', {
      "':80'": `127.0.0.1:${plainPort}`,
      "':443'": `127.0.0.1:${port}`,
      '/etc/traefik/': `${folder}/`,
      '/var/lib/traefik/': `${folder}/`,
    }),
    'claviger.yml': `${fillIn('traefik/claviger.yml', {
      '{ certResolver: letsencrypt }': '{}',
      '127.0.0.1:3000': server,
    })}\ntls: { certificates: [{ certFile: ${folder}/cert.pem, keyFile: ${folder}/key.pem }] }\n`,
  }),
  args: (folder) => [`--configFile=${folder}/traefik.yml`],
  logs: [],
}

export const kinds = { nginx, caddy, traefik }

/** The proxy with its file of deploy/ in front of a server on this host, with a certificate for HOST. */
export async function startProxy(kind: Kind, options: { program: string; server: string }): Promise<Proxy> {
  const { program, server } = options
  const plainPort = await freePort()
  const { certificate, key } = makeCertificate(HOST)
  const middleman: Middleman = await startMiddleman({
    program,
    writes: true,
    files: ({ port, folder }) => ({
      'cert.pem': certificate,
      'key.pem': key,
      ...kind.files({ folder, port, plainPort, server }),
    }),
    args: kind.args,
  })
  return {
    port: middleman.port,
    plainPort,
    certificate,
    logged: () =>
      [middleman.output(), ...kind.logs.map((name) => readFileSync(join(middleman.folder, name), 'utf8'))].join('\n'),
    [Symbol.asyncDispose]: () => middleman.close(),
  }
}
