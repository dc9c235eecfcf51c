import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { build } from 'vite'

export interface Site extends AsyncDisposable {
  origin: string
  /** Status of every call of its API. */
  calls: number[]
  /** Issuer whose tokens the API takes; the pages use it, too. */
  issuer: string
  /** Of the client in `auth`, besides its issuer. */
  options: object
  /** `/bare`, for what a test wants to show. */
  html: string
  /** Scripts by their paths, likewise. */
  files: Map<string, string>
}

const SDK = join(import.meta.dirname, '../../sdk/browser/src/index.ts')
let bundle: Promise<Map<string, string>> | undefined

/** The package as a bundler puts it into an app, by path: `/sdk.js`, and what that loads later. */
function bundleSdk(): Promise<Map<string, string>> {
  bundle ??= build({
    configFile: false,
    logLevel: 'error',
    root: import.meta.dirname,
    build: { write: false, minify: true, target: 'es2022', lib: { entry: SDK, formats: ['es'] } },
  }).then((built) => {
    const [result] = Array.isArray(built) ? built : [built]
    if (!result || !('output' in result)) throw new Error('nothing was built')
    const [entry, ...later] = result.output
    const chunks = later.flatMap((each) => (each.type === 'chunk' ? [each] : []))
    return new Map([['/sdk.js', entry.code], ...chunks.map(({ fileName, code }) => [`/${fileName}`, code] as const)])
  })
  return bundle
}

/** `/` is an app with a client in `auth`; `/blank` has the package and no client; `/bare` has nothing but `html`. */
const app = ({ issuer, options }: Site) => `<!doctype html><title>app</title><script type="module">
  import { createClient, ClavigerError } from '/sdk.js'
  Object.assign(window, { createClient, ClavigerError, users: [], changes: [], statuses: [] })
  window.begin = () => {
    window.auth = createClient(${JSON.stringify({ issuer, ...options })})
    let last = null
    window.auth.onChange((state, user, cause) => {
      window.changes.push([state, user && user.email, cause])
      const email = user && user.email
      if (email !== last) window.users.push((last = email))
    })
    window.api = async () => {
      const { status } = await window.auth.fetch('/api')
      window.statuses.push(status)
      return status
    }
  }
  if (location.pathname === '/') window.begin()
  window.loaded = true
</script>`

/** A site that serves the app, and next to it an API that takes access tokens: to the second, without leeway. */
export async function openSite(issuer = ''): Promise<Site> {
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
    const path = (request.url ?? '').split('?')[0]
    const script = site.files.get(path ?? '') ?? (await bundleSdk()).get(path ?? '')
    if (script !== undefined) {
      response.setHeader('content-type', 'text/javascript')
      return response.end(script)
    }
    if (path === '/api') {
      keys ??= createRemoteJWKSet(new URL(`${site.issuer}/.well-known/jwks.json`))
      const token = (request.headers.authorization ?? '').replace('Bearer ', '')
      const status = await jwtVerify(token, keys, { issuer: site.issuer, typ: 'at+jwt' }).then(
        () => 200,
        () => 401,
      )
      site.calls.push(status)
      return response.writeHead(status).end('{}')
    }
    response.setHeader('content-type', 'text/html')
    return response.end(path === '/bare' ? site.html : app(site))
  }
  const server = createServer((request, response) => void serve(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const site: Site = {
    origin: `http://localhost:${(server.address() as AddressInfo).port}`,
    calls: [],
    issuer,
    options: {},
    html: '',
    files: new Map(),
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
  return site
}
