import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { settings } from '../../src/config/config.ts'

// What needs Docker is in smoke.sh.
const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const compose = await read('docker-compose.yml')

/** The compose file, or the image, decides about these. */
const decided = new Set(['NODE_ENV', 'HOST', 'PORT', 'METRICS_HOST', 'METRICS_PORT', 'ISSUER'])

/** These secrets cannot be made. Who does not want one in the environment mounts a file and names it. */
const given = new Set(['SMTP_URL'])

test.each(Object.entries(settings))(
  '%s reaches the container, unless it is a secret that is made there',
  (name, { secret }) => {
    if (secret && given.has(name)) {
      for (const form of [name, `${name}_FILE`]) expect(compose).toContain(`    ${form}: \${${form}:-}\n`)
    } else if (secret) {
      // Shells, `docker inspect` and child processes show what is in the environment.
      expect(compose).toContain(`${name}_FILE: /var/lib/claviger/server/`)
      expect(compose).not.toMatch(new RegExp(`^ +${name}:`, 'm'))
    } else if (!decided.has(name)) {
      expect(compose).toContain(`    ${name}: \${${name}:-}\n`)
    }
  },
)

test('nothing is published but the server and the demo, on loopback', () => {
  const published = [...compose.matchAll(/^ +ports: (.*)$/gm)].map(([, ports]) => ports)
  const [server, ...demo] = published
  expect(server).toBe(`['127.0.0.1:\${CLAVIGER_PORT:-3000}:3000']`)
  for (const each of demo) expect(each).toMatch(/^\['127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+'\]$/)
})

test('no variable stands in the default of another, which Compose 1 leaves as it is', () => {
  expect(compose).not.toMatch(/\$\{[^}]*\$\{/)
})

test.each([
  [{}, undefined],
  [{ PUBLISHED_PORT: '4610', ISSUER: '' }, 'http://localhost:4610'],
  [{ PUBLISHED_PORT: '4610', ISSUER: 'https://auth.example.com' }, 'https://auth.example.com'],
])('the image takes the published port for the issuer, unless that is stated: %j', async (env, issuer) => {
  expect(compose).toContain(`    ISSUER: \${ISSUER:-}\n    PUBLISHED_PORT: \${CLAVIGER_PORT:-3000}\n`)
  const app = await mkdtemp(join(tmpdir(), 'image-'))
  await mkdir(join(app, 'node_modules/argon2/build'), { recursive: true })
  await writeFile(join(app, 'node_modules/argon2/build/march'), 'any')
  await mkdir(join(app, 'src/cli'), { recursive: true })
  await writeFile(join(app, 'src/cli/main.ts'), 'process.stdout.write(JSON.stringify({ issuer: process.env.ISSUER }))')
  const program = (await read('docker/claviger')).replaceAll('/app/', `${app}/`)
  const path = `${dirname(process.execPath)}:${process.env.PATH}`
  const { stdout } = await promisify(execFile)('sh', ['-c', program], { env: { PATH: path, ...env } })
  await rm(app, { recursive: true })
  expect(JSON.parse(stdout)).toEqual({ issuer })
})

const services = compose.slice(compose.indexOf('\nservices:\n'), compose.indexOf('\nnetworks:\n'))
const blocks = services.split(/^ {2}(?=[a-z-]+:$)/m).slice(1)
const nameOf = (block: string) => block.split(':')[0]

test('the password of the owner of the tables is where no server is, and the demo has secrets of its own', () => {
  const holding = (volume: string) => blocks.filter((block) => block.includes(volume)).map(nameOf)
  const servers = compose.slice(compose.indexOf('\nx-server:'), compose.indexOf('\nservices:\n'))
  expect(servers).not.toContain('database-secrets')
  expect(holding('database-secrets')).toEqual(['postgres', 'secrets', 'migrate', 'demo-database'])
  expect(holding('server-secrets')).toEqual(['secrets', 'migrate'])
  expect(holding('demo-secrets')).toEqual(['demo-database', 'demo-issuer', 'demo-accounts'])
})

test('every service is confined', () => {
  const production = ['claviger', 'replica', 'postgres', 'secrets', 'migrate']
  const demo = ['demo-database', 'demo-issuer', 'demo-accounts', 'orders', 'spa']
  expect(blocks.map(nameOf)).toEqual([...production, ...demo])
  for (const block of blocks) expect(block).toMatch(/^ {4}<<: \*(server|confined)$/m)
  // Its settings are for looking at: nobody gets them who has not asked for it.
  for (const block of blocks.slice(production.length)) expect(block).toContain('    profiles: [demo]\n')
})

test('the builder is given only what the image is made of', async () => {
  const lines = (await read('.dockerignore')).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines[0]).toBe('*')
  expect(lines.slice(1).every((line) => line.startsWith('!'))).toBe(true)
  expect(lines.filter((line) => /git|env|claviger|node_modules|\*\*/.test(line))).toEqual([])
  const copied = [...(await read('Dockerfile')).matchAll(/^COPY (?!--from)(.+) \S+$/gm)]
    .flatMap(([, sources = '']) => sources.split(' '))
    .map((source) => source.split('/')[0])
  expect(new Set(lines.slice(1).map((line) => line.slice(1)))).toEqual(new Set(copied))
})

test('the image has every folder that the server reads', async () => {
  const dockerfile = await read('Dockerfile')
  for (const folder of ['data', 'mail', 'migrations', 'src'])
    expect(dockerfile).toContain(`\nCOPY ${folder} ${folder}\n`)
})
