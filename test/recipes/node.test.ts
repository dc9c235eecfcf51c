import { execFile } from 'node:child_process'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { askGateway } from '../interop/gateway.ts'
import { startVectorIssuer } from '../interop/issuers.ts'
import { judge } from '../interop/judge.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { tryBound } from './bound.ts'
import { type OrdersIssuer, prepareIssuer } from './issuer.ts'
import { installPackages } from './node-packages.ts'
import { layOut, readRecipe } from './page.ts'
import { tryService } from './service.ts'
import { type Service, startService } from './start.ts'

const ROOT = join(import.meta.dirname, '../..')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')
const pages = ['express', 'fastify', 'node-http', 'dpop-node']
/** RFC 6750 §2.1 has one space or more between `Bearer` and the token: in a header, this is the good one. */
const known = { 'space-before': 'two spaces' }

let folder: string
let database: TestDatabase
let issuer: OrdersIssuer

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claviger-recipes-'))
  database = await cloneDatabase()
  issuer = await prepareIssuer(database.url)
  const others = ['jose', 'express', 'cors', 'fastify', '@fastify/cors', '@types', 'undici-types']
  await installPackages(folder, 'verifier', others)
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
}, 60_000)

afterEach(() => issuer.stop())

afterAll(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

async function start(page: string, url: string, credentials: Record<string, string> = {}): Promise<Service> {
  const recipe = await readRecipe(page)
  await layOut(recipe, join(folder, page))
  return startService(recipe, join(folder, page), {
    issuer: url,
    env: { ...credentials, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
  })
}

describe.each(pages)('the recipe %s', (page) => {
  test('answers as its page says, also while the issuer is down', async () => {
    await tryService(issuer, (credentials) => start(page, issuer.url, credentials))
  }, 90_000)

  test('judges the vectors', async () => {
    await issuer.start()
    await using vectors = await startVectorIssuer(issuer)
    await using service = await start(page, vectors.url)
    const job = { issuer: vectors.url, ...vectors, signal: new AbortController().signal, folder }
    expect(judge(vectors.tokens, await askGateway(service.port, job), known).surprises).toEqual([])
  }, 90_000)
})

test('the recipe dpop-node takes bound tokens with their proof, and no others where it says so', async () => {
  await issuer.start()
  await using service = await start('dpop-node', issuer.url)
  await tryBound(issuer, service)
}, 60_000)

test.each(['express', 'fastify', 'dpop-node'])(
  'the file of %s is TypeScript, too',
  async (page) => {
    const place = join(folder, `${page}-typed`)
    await layOut(await readRecipe(page), place)
    await rename(join(place, 'service.js'), join(place, 'service.ts'))
    const compilerOptions = {
      strict: true,
      noEmit: true,
      target: 'es2024',
      module: 'nodenext',
      types: ['node'],
      skipLibCheck: true,
    }
    await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['service.ts'] }))
    const { stdout } = await promisify(execFile)(process.execPath, [TSC, '-p', place]).catch((error) => error)
    expect(stdout).toBe('')
  },
  60_000,
)
