import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMint } from '../../sdk/verifier/vectors/mint.ts'
import { type FeedIssuer, startFeedIssuer } from './feed-support.ts'

const ROOT = join(import.meta.dirname, '../..')
const PACKAGE = join(ROOT, 'sdk/verifier')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')
const execute = promisify(execFile)

/** Beside the blocks of the README: what the reader has (`before`), and how it shows that the block works (`after`). */
const BLOCKS: Record<string, { before?: string; after: string }> = {
  'Three lines': {
    before: `const token = process.env.TOKEN ?? ''`,
    after: `const subject: string = claims.sub; const roles: string[] | undefined = claims.roles
if (subject !== process.env.SUBJECT || roles?.[0] !== 'clerk') throw new Error('other claims')`,
  },
  'What a token grants': {
    before: `const claims = { scope: 'orders:read orders:write', roles: ['clerk'] }`,
    after: `try { requireScope(claims, 'orders'); throw new Error('granted') } catch (error) { if ((error as { status?: number }).status !== 403) throw error }`,
  },
  'Logout within a second': {
    before: `const token = process.env.TOKEN ?? ''`,
    after: `if (beforeEachRequest.sub !== process.env.SUBJECT || forMoney.sub !== forPictures.sub) throw new Error('other claims')`,
  },
  'While the feed cannot be heard': {
    after: `const headers = { authorization: 'Bearer ' + process.env.TOKEN }
const seen: unknown[] = []
for (const [method, url] of [['GET', '/pictures'], ['POST', '/payments']] as const) seen.push((await app.inject({ method, url, headers })).statusCode)
await app.close()
if (seen.join() !== '200,200') throw new Error(seen.join())`,
  },
  Fastify: {
    after: `const headers = { authorization: 'Bearer ' + process.env.TOKEN }
const seen: unknown[] = []
for (const [method, url, more] of [['GET', '/orders', {}], ['GET', '/orders', { headers }], ['POST', '/orders', { headers }], ['DELETE', '/orders', { headers }], ['GET', '/health', {}]] as const) {
  seen.push((await app.inject({ method, url, ...more })).statusCode)
}
if (seen.join() !== '401,200,403,200,200') throw new Error(seen.join())`,
  },
  'Express and Connect': {
    after: `const server = app.listen(0)
await new Promise((resolve) => server.once('listening', resolve))
const { port } = server.address() as { port: number }
const headers = { authorization: 'Bearer ' + process.env.TOKEN }
const seen: unknown[] = []
for (const [method, path, more] of [['GET', '/orders', {}], ['GET', '/orders', { headers }], ['POST', '/orders', { headers }], ['GET', '/health', {}]] as const) {
  seen.push((await fetch('http://localhost:' + port + path, { method, ...more })).status)
}
server.closeAllConnections(); server.close()
if (seen.join() !== '401,200,403,200') throw new Error(seen.join())`,
  },
  'fetch: Bun, Deno, Hono, Workers, Next.js': {
    // Later: a module cannot wait for itself.
    after: `setImmediate(async () => {
  const own = (await import(import.meta.url)).default as { fetch(request: Request): Promise<Response> }
  const headers = { authorization: 'Bearer ' + process.env.TOKEN }
  const seen = [await own.fetch(new Request('http://a/b')), await own.fetch(new Request('http://a/b', { headers }))]
  if (seen.map(({ status }) => status).join() !== '401,200') throw new Error('other answers')
})`,
  },
  'Bound tokens': {
    after: `const headers = { authorization: 'Bearer ' + process.env.TOKEN }
const seen: unknown[] = []
for (const [method, url] of [['GET', '/orders'], ['POST', '/payments']] as const) seen.push((await app.inject({ method, url, headers })).statusCode)
if (seen.join() !== '200,401') throw new Error(seen.join())`,
  },
  Options: { after: `await verify(process.env.TOKEN_OF_LOCALHOST ?? '')` },
  Errors: {
    before: `import { createVerifier } from '@claviger/verifier'
const verify = createVerifier({ issuer: 'https://auth.example.com', audience: 'orders' })
const token = process.env.TOKEN + 'x'`,
    after: '',
  },
  'Test vectors': { after: `if (vectors.bad.length < 40) throw new Error('few')` },
}

let folder: string
let issuer: FeedIssuer
let tarball: string

/** Keeps npm from asking anybody, and from telling what it would like to be updated to. */
const quiet = {
  npm_config_offline: 'true',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claviger-package-'))
  issuer = await startFeedIssuer()
  issuer.clock = () => Date.now() / 1000
  // A copy is built and packed: what lies in the working tree is neither used nor overwritten.
  const stage = join(folder, 'stage')
  await cp(PACKAGE, stage, { recursive: true, filter: (path) => !/\/(dist|node_modules)$/.test(path) })
  await execute(process.execPath, [TSC, '-p', PACKAGE, '--outDir', join(stage, 'dist')])
  const { stdout } = await execute('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: stage,
    env: { ...process.env, ...quiet },
  })
  const packed = JSON.parse(stdout) as Record<string, { filename: string }> | { filename: string }[]
  tarball = join(folder, Object.values(packed)[0]?.filename ?? '')
  await mkdir(join(folder, 'project'))
  await writeFile(
    join(folder, 'project/package.json'),
    JSON.stringify({
      name: 'project',
      private: true,
      type: 'module',
      dependencies: { '@claviger/verifier': `file:${tarball}`, jose: `file:${join(ROOT, 'node_modules/jose')}` },
    }),
  )
  await execute('npm', ['install', '--install-links', '--ignore-scripts'], {
    cwd: join(folder, 'project'),
    env: { ...process.env, ...quiet },
  })
}, 120_000)

afterAll(async () => {
  await issuer[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function blocksOf(readme: string): Promise<{ heading: string; code: string }[]> {
  const blocks: { heading: string; code: string }[] = []
  for (const section of (await readFile(readme, 'utf8')).split(/^## /m)) {
    const heading = section.slice(0, section.indexOf('\n'))
    for (const [, code = ''] of section.matchAll(/^```ts\n(.*?)^```$/gms)) blocks.push({ heading, code })
  }
  return blocks
}

/** Makes packages of this repository resolvable in the project, as if they had been installed there. */
async function lend(...names: string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, 'project/node_modules', name)
    await mkdir(dirname(path), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

async function typeCheck(files: string[], options: object): Promise<string> {
  const config = join(folder, 'project/tsconfig.json')
  const compilerOptions = { strict: true, noEmit: true, target: 'es2024', lib: ['es2024'], types: ['node'], ...options }
  await writeFile(config, JSON.stringify({ compilerOptions, files }))
  return await execute(process.execPath, [TSC, '-p', config]).then(
    ({ stdout }) => stdout,
    (error: { stdout: string }) => error.stdout,
  )
}

test('holds what it should, and depends on jose only', async () => {
  const installed = join(folder, 'project/node_modules/@claviger/verifier')
  const files = (await readdir(installed, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(installed.length + 1))
  const others = files.filter((file) => !/^dist\/((revocations|dpop)\/)?[a-z-]+\.(js|d\.ts)$/.test(file)).toSorted()
  expect(others).toEqual(['LICENSE', 'README.md', 'package.json', 'vectors.json'])
  for (const entry of ['index', 'fastify', 'express', 'fetch']) {
    expect(files).toContain(`dist/${entry}.js`)
    expect(files).toContain(`dist/${entry}.d.ts`)
  }
  for (const file of files.filter((each) => each.endsWith('.js'))) {
    const code = await readFile(join(installed, file), 'utf8')
    const targets = [...code.matchAll(/(?:from|import) '([^']+)'/g)].map((match) => match[1] ?? '')
    for (const target of targets) expect(target).toMatch(/^(jose|\.\.?\/((revocations|dpop)\/)?[a-z-]+\.js)$/)
  }
  expect(
    (await readdir(join(folder, 'project/node_modules'))).filter((name) => !name.startsWith('.')).toSorted(),
  ).toEqual(['@claviger', 'jose'])
})

test('types resolve, with nothing else installed and library checks on', async () => {
  await lend('@types/node', 'undici-types')
  await writeFile(
    join(folder, 'project/types.ts'),
    `import { createVerifier, VerificationError, type Check, type Claims } from '@claviger/verifier'
import { bearerAuth } from '@claviger/verifier/express'
import { bearerAuth as fetchAuth } from '@claviger/verifier/fetch'
const verify = createVerifier({ issuer: 'https://a.example', audience: ['a'] })
export const claims: Promise<Claims> = verify('token')
export const text = (check: Check): string => { switch (check) { case 'keys': return 'later'; default: return 'no' } }
export const guard = bearerAuth(verify, { scope: 'a', onRefused: (error) => { const check: Check = error.check; void check } })
export const handler: (request: Request, port: number) => Promise<Response> = fetchAuth(verify, (_request, { sub }, port: number) => new Response(sub + port))
// @ts-expect-error: an audience is needed
createVerifier({ issuer: 'https://a.example' })
// @ts-expect-error: a slip
bearerAuth(verify, { scopes: 'a' })
export const isOurs = (error: unknown): error is VerificationError => error instanceof VerificationError
`,
  )
  const options = { skipLibCheck: false, exactOptionalPropertyTypes: true }
  expect(await typeCheck(['types.ts'], { module: 'nodenext', ...options })).toBe('')
  expect(await typeCheck(['types.ts'], { module: 'preserve', moduleResolution: 'bundler', ...options })).toBe('')
}, 60_000)

test('every block of the README type-checks and does what it says', async () => {
  await lend('@types/node', 'undici-types', 'fastify', 'express', '@types/express')
  const blocks = await blocksOf(join(PACKAGE, 'README.md'))
  expect(blocks.map(({ heading }) => heading)).toEqual(Object.keys(BLOCKS))
  const files: string[] = []
  for (const [index, { heading, code }] of blocks.entries()) {
    const { before = '', after } = BLOCKS[heading] ?? { after: '' }
    const text = `${before}\n${code}\n${after}\nexport {}\n`
    // The addresses of the examples stand for this test's issuer.
    const here = text.replaceAll('https://auth.example.com', issuer.url).replaceAll('http://issuer:3000', issuer.url)
    files.push(`block-${index}.ts`)
    await writeFile(join(folder, 'project', `block-${index}.ts`), here)
  }
  const options = { module: 'nodenext', skipLibCheck: true, resolveJsonModule: true }
  expect(await typeCheck(files, options)).toBe('')

  const mint = createMint('http://localhost:3000')
  const env = {
    ...process.env,
    TOKEN: issuer.mint.withHeader({}),
    SUBJECT: String(issuer.mint.claims.sub),
    TOKEN_OF_LOCALHOST: mint.withHeader({}),
  }
  const metadata = issuer.answers.get('/.well-known/oauth-authorization-server')
  for (const [index, { heading }] of blocks.entries()) {
    const named = heading === 'Options' ? 'http://localhost:3000' : issuer.url
    issuer.answers.set(
      '/.well-known/oauth-authorization-server',
      issuer.json(() => ({ issuer: named, jwks_uri: `${named}/jwks` })),
    )
    const { stdout } = await execute(process.execPath, [join(folder, 'project', `block-${index}.ts`)], { env })
    if (heading === 'Errors') expect(stdout).toContain(`check: '`)
  }
  if (metadata) issuer.answers.set('/.well-known/oauth-authorization-server', metadata)
}, 60_000)
