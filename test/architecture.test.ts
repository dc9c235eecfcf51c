import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

// Imports point one way, so that a part can be read without those above it. A new room, package or arrow is a decision:
// it fails here until it stands in a table below.

/** From top to bottom: each may import what stands below it, never above. */
const FEATURES = [
  'oauth',
  'pages',
  'sign-in',
  'users',
  'credentials',
  'sessions',
  'revocations',
  'clients',
  'dpop',
  'tokens',
  'keys',
  'outbox',
  'audit',
  'db',
]
/** What everybody may import: they know no feature, and of the database its types at most. */
const FLOOR = [
  'bell',
  'clock',
  'config',
  'durations',
  'errors',
  'facts',
  'fetch',
  'json-text',
  'languages',
  'log',
  'metrics',
  'operation',
  'principal',
  'proven-key',
  'prune',
  'random',
  'schedule',
  'sealing',
  'seen',
  'semaphore',
  'uuid',
]
/** The other rooms, and what they may import besides the floor. */
const ROOMS: Record<string, string[]> = {
  main: ['threads', 'processes', 'serve'],
  // Which the primary and the processes that it starts load each for themselves: it serves nothing.
  processes: ['serve', 'threads', 'http'],
  serve: ['app', 'deps', 'http', ...FEATURES],
  cli: ['main', 'deps', 'threads', ...FEATURES],
  app: ['deps', 'http', ...FEATURES],
  http: ['db'],
  threads: [],
  deps: ['http', ...FEATURES],
  ...Object.fromEntries(FLOOR.map((room) => [room, room === 'prune' ? ['db'] : []])),
  ...Object.fromEntries(FEATURES.map((feature, index) => [feature, FEATURES.slice(index + 1)])),
}
/** Where a package of npm may be imported. */
const PACKAGES: Record<string, RegExp> = {
  fastify: /^app\.ts$|^http\/|\/routes\.ts$/,
  '@fastify/*': /^app\.ts$|^http\/|\/routes\.ts$/,
  typebox: /^app\.ts$|^http\/|\/routes\.ts$/,
  kysely: /^db\/|[/-]queries\.ts$/,
  pg: /^db\/(begun-query|client|connect|connections|lend)\.ts$/,
  'ipaddr.js': /^(config\/networks|http\/guards\/proxies)\.ts$/,
  pino: /^log\.ts$/,
  'prom-client': /^(metrics|http\/server\/metrics|processes\/totals)\.ts$/,
  argon2: /^credentials\/passwords\/argon2\.ts$/,
  bcrypt: /^credentials\/passwords\/foreign-tag\.ts$/,
  jose: /^(keys|tokens|oauth)\//,
  nodemailer: /^outbox\/mail\/transport\.ts$/,
}
const READS_ENVIRONMENT = ['main.ts', 'cli/main.ts', 'threads.ts']
const MAX_LINES = 250

type Sources = Record<string, string>

/** What a source imports, types included. */
function importsOf(source: string): string[] {
  const code = source.replace(/^\s*(\/\/|\*|\/\*).*$/gm, '')
  const pattern = /^(?:import|export)\s[^'";]*?\bfrom '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm
  return [...code.matchAll(pattern)].map(([, from, effect, dynamic]) => from ?? effect ?? dynamic ?? '')
}

/** Everything that breaks a rule, in words. @param sources by path under src/. */
function violations(sources: Sources): string[] {
  return Object.entries(sources).flatMap(([path, source]) => [
    ...shapeFaults(path, source),
    ...importsOf(source).flatMap((target) => importFaults(path, target)),
  ])
}

/** Files that lead back to themselves by what they import: each cycle once, from its first file on. */
function cycles(sources: Sources): string[] {
  const state = new Map<string, 'open' | 'done'>()
  const found: string[] = []
  const visit = (path: string, way: string[]): void => {
    if (state.get(path) === 'done' || !(path in sources)) return
    if (state.get(path) === 'open') return void found.push([...way.slice(way.indexOf(path)), path].join(' → '))
    state.set(path, 'open')
    for (const target of importsOf(sources[path] ?? ''))
      if (target.startsWith('.')) visit(join(dirname(path), target), [...way, path])
    state.set(path, 'done')
  }
  for (const path of Object.keys(sources)) visit(path, [])
  return found
}

function shapeFaults(path: string, source: string): string[] {
  const faults: string[] = []
  const lines = source.split('\n').length - 1
  if (lines > MAX_LINES) faults.push(`${path}: ${lines} lines; look for the second idea`)
  if (!/^([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/.test(path)) faults.push(`${path}: not in kebab-case`)
  if (/(^|\/)(index|utils?|helpers?|common|[a-z-]*manager)\.ts$/.test(path))
    faults.push(`${path}: the name says nothing`)
  if (!(roomOf(path) in ROOMS)) faults.push(`${path}: a new room`)
  if (/\bprocess\.env\b/.test(source) && !READS_ENVIRONMENT.includes(path)) faults.push(`${path}: reads process.env`)
  return faults
}

function importFaults(path: string, target: string): string[] {
  if (target.startsWith('node:')) return []
  if (!target.startsWith('.')) {
    const name = target.startsWith('@fastify/') ? '@fastify/*' : target.replace(/^([^@/][^/]*)\/.*$/, '$1')
    const allowed = PACKAGES[name]?.test(path)
    return allowed ? [] : [`${path}: imports ${target}`]
  }
  const file = join(dirname(path), target)
  const [from, to] = [roomOf(path), roomOf(file)]
  const arrow = `${path} → ${file}`
  if (from === to) return []
  if (/[/-]queries\.ts$/.test(file)) return [`${arrow}: another feature’s statements`]
  if (file.endsWith('/routes.ts') && from !== 'app') return [`${arrow}: another feature’s routes`]
  if (to === 'http' && path.endsWith('/routes.ts')) return []
  return FLOOR.includes(to) || ROOMS[from]?.includes(to) ? [] : [`${arrow}: a new arrow`]
}

/** The folder directly under src/, or the name of a file there. */
function roomOf(path: string): string {
  return (path.split('/')[0] ?? '').replace(/\.ts$/, '')
}

function readSources(): Sources {
  const folder = join(import.meta.dirname, '../src')
  const paths = readdirSync(folder, { recursive: true })
    .map(String)
    .filter((path) => path.endsWith('.ts'))
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), 'utf8')]))
}

test('the source keeps to the tables', () => {
  expect(violations(readSources())).toEqual([])
})

test('no import leads back to where it began', () => {
  expect(cycles(readSources())).toEqual([])
  const circle = {
    'keys/a.ts': "import { b } from './b.ts'",
    'keys/b.ts': "import { c } from './c.ts'\nimport { d } from './d.ts'",
    'keys/c.ts': '',
    'keys/d.ts': "import type { A } from './a.ts'",
  }
  expect(cycles(circle)).toEqual(['keys/a.ts → keys/b.ts → keys/d.ts → keys/a.ts'])
  expect(cycles({ ...circle, 'keys/d.ts': "import { c } from './c.ts'" })).toEqual([])
})

test.each([
  ['audit/audit.ts', "import { a } from '../sessions/start.ts'", 'a new arrow'],
  ['sessions/start.ts', "import {\n  a,\n  b,\n} from '../users/users.ts'", 'a new arrow'],
  ['sessions/start.ts', "import { a } from '../http/requests/facts.ts'", 'a new arrow'],
  ['keys/keys.ts', "const a = await import('../app.ts')", 'a new arrow'],
  ['errors.ts', "export * from './db/errors.ts'", 'a new arrow'],
  ['users/users.ts', "import type { A } from '../sessions/queries.ts'", 'another feature’s statements'],
  ['users/routes.ts', "import { a } from '../sessions/routes.ts'", 'another feature’s routes'],
  ['users/users.ts', "import type { FastifyRequest } from 'fastify'", 'imports fastify'],
  ['users/users.ts', "import { sql } from 'kysely'", 'imports kysely'],
  ['db/migrate.ts', "import left from 'left-pad'", 'imports left-pad'],
  ['post/mail.ts', '', 'a new room'],
  ['http/index.ts', '', 'the name says nothing'],
  ['http/rateLimit.ts', '', 'not in kebab-case'],
  ['keys/keys.ts', 'const bits = process.env.KEY_BITS', 'reads process.env'],
  ['keys/keys.ts', '\n'.repeat(251), '251 lines'],
])('the check sees a fault in %s ($2)', (path, source, fault) => {
  expect(violations({ [path]: source })).toEqual([expect.stringContaining(fault)])
})

test('the check lets right things pass', () => {
  expect(
    violations({
      'users/routes.ts':
        "import { a } from '../http/requests/schemas.ts'\nimport type { B } from 'fastify'\nimport { c } from './users.ts'",
      'users/users.ts': "import { a } from '../sessions/start.ts'\nimport { Problem } from '../errors.ts'",
      'sessions/queries.ts': "import { sql } from 'kysely'\n// import { a } from '../users/users.ts'",
    }),
  ).toEqual([])
})
