import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { makeCertificate } from '../support/certificate.ts'
import { type Middleman, startMiddleman } from '../support/middleman.ts'
import { freePort } from '../support/server.ts'
import { fillIn } from './gateway-files.ts'

const HOST = 'auth.example.com'
const AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'
const APACHE_MODULES = '/usr/lib/apache2/modules'

/** How long verdicts are kept here. The page says five, for which nobody wants to wait. */
export const SECONDS = 1

export interface Client {
  clientId: string
  secret: string
}

interface Place {
  folder: string
  /** Where the gateway listens. */
  port: number
  /** For what it needs besides. */
  another: number
  /** Where the issuer listens, with a certificate for localhost in `<folder>/issuer.pem`. */
  issuer: number
  client: Client
  /** Host and port of the service behind it. */
  service: string
}

interface Kind {
  program: string
  /** What it has of the page. */
  paths: string[]
  /** A file without which the program is of no use. */
  needs?: string
  /** Its answer while the issuer is away. */
  away: 401 | 503
  files(place: Place): Record<string, string>
  args(folder: string): string[]
}

const basic = ({ clientId, secret }: Client): string => Buffer.from(`${clientId}:${secret}`).toString('base64')

const nginx: Kind = {
  program: 'nginx',
  paths: ['/etc/nginx/conf.d/orders.conf'],
  away: 503,
  files: ({ folder, port, issuer, client, service }) => ({
    'orders.conf': fillIn('/etc/nginx/conf.d/orders.conf', {
      '/run/nginx-orders': `${folder}/cache`,
      '127.0.0.1:3001': service,
      '127.0.0.1:8080': `127.0.0.1:${port}`,
      [`${HOST}:443`]: `127.0.0.1:${issuer}`,
      [HOST]: 'localhost',
      [AUTHORITIES]: `${folder}/issuer.pem`,
      CREDENTIALS: basic(client),
      'proxy_cache_valid 200 403 5s': `proxy_cache_valid 200 403 ${SECONDS}s`,
    }),
    'nginx.conf': `
      daemon off;
      master_process off;
      pid ${folder}/pid;
      error_log stderr;
      events {}
      http {
        access_log off;
        ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
        include ${folder}/orders.conf;
      }`,
  }),
  args: (folder) => ['-c', `${folder}/nginx.conf`, '-e', 'stderr'],
}

const haproxy: Kind = {
  program: 'haproxy',
  paths: ['/etc/haproxy/haproxy.cfg', '/etc/haproxy/introspect.lua'],
  away: 503,
  files: ({ folder, port, another, issuer, client, service }) => ({
    'haproxy.cfg': fillIn('/etc/haproxy/haproxy.cfg', {
      '/etc/haproxy/': `${folder}/`,
      '127.0.0.1:3001': service,
      '127.0.0.1:8080': `127.0.0.1:${port}`,
      '127.0.0.1:8181': `127.0.0.1:${another}`,
      [`${HOST}:443`]: `127.0.0.1:${issuer}`,
      [HOST]: 'localhost',
      [AUTHORITIES]: `${folder}/issuer.pem`,
      CREDENTIALS: basic(client),
    }),
    'introspect.lua': fillIn('/etc/haproxy/introspect.lua', {
      '127.0.0.1:8181': `127.0.0.1:${another}`,
      'SECONDS = 5': `SECONDS = ${SECONDS}`,
    }),
  }),
  args: (folder) => ['-db', '-f', `${folder}/haproxy.cfg`],
}

const apache: Kind = {
  program: 'apache2',
  paths: ['/etc/apache2/conf-enabled/orders.conf'],
  needs: `${APACHE_MODULES}/mod_auth_openidc.so`,
  away: 401,
  files: ({ folder, port, issuer, client, service }) => ({
    'orders.conf': fillIn('/etc/apache2/conf-enabled/orders.conf', {
      '127.0.0.1:3001': service,
      [HOST]: `localhost:${issuer}`,
      [AUTHORITIES]: `${folder}/issuer.pem`,
      CLIENT_ID: client.clientId,
      ' SECRET': ` ${client.secret}`,
      PASSPHRASE: 'a-passphrase-of-32-characters-12',
      'IntrospectionInterval 5': `IntrospectionInterval ${SECONDS}`,
    }),
    // What a server of Debian's has around it. Started by root it gives up root's rights.
    'httpd.conf': `
ServerRoot "${folder}"
ServerName localhost
PidFile "${folder}/pid"
ErrorLog "${folder}/error.log"
Listen 127.0.0.1:${port}
User www-data
Group www-data
${['mpm_event', 'authn_core', 'authz_core', 'headers', 'proxy', 'proxy_http', 'auth_openidc']
  .map((name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`)
  .join('\n')}
Include "${folder}/orders.conf"
`,
  }),
  // One process, which takes everything with it when it is killed.
  args: (folder) => ['-X', '-f', `${folder}/httpd.conf`],
}

export const kinds = { nginx, haproxy, apache }

/** The gateway with its file of the page. */
export async function startGateway(
  kind: Kind,
  options: { program: string; issuer: Issuer; client: Client; service: string },
): Promise<Middleman> {
  const { program, issuer, client, service } = options
  const another = await freePort()
  return await startMiddleman({
    program,
    writes: true,
    files: ({ port, folder }) => ({
      'issuer.pem': issuer.certificate,
      ...kind.files({ folder, port, another, issuer: issuer.port, client, service }),
    }),
    args: kind.args,
  })
}

export interface Issuer extends AsyncDisposable {
  port: number
  certificate: string
  /** From now on it hangs up on whoever calls. */
  leave(): void
  comeBack(): void
}

/** TLS in front of a server on this host: gateways ask no issuer without it. */
export async function startTlsFront(target: number): Promise<Issuer> {
  const { certificate, key } = makeCertificate('localhost')
  const sockets = new Set<Socket>()
  let away = false
  const keep = (socket: Socket): Socket => {
    sockets.add(socket)
    return socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy())
  }
  const server = createTlsServer({ cert: certificate, key }, (client) => {
    if (away) return void client.destroy()
    const upstream = keep(connect(target, '127.0.0.1'))
    keep(client).pipe(upstream).pipe(client)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const hangUp = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    certificate,
    leave: () => {
      away = true
      hangUp()
    },
    comeBack: () => {
      away = false
    },
    [Symbol.asyncDispose]: async () => {
      server.close()
      hangUp()
      await once(server, 'close')
    },
  }
}
