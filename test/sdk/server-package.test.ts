import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const PACKAGE = join(ROOT, 'sdk/server')
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')
let folder: string
let app: string
let packed: string[]

/** @returns standard output; what went wrong, with all that was said, as an error. */
async function run(file: string, args: string[], cwd: string): Promise<string> {
  try {
    return (await promisify(execFile)(file, args, { cwd })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${file} ${args.join(' ')}\n${stdout}${stderr}`)
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claviger-server-package-'))
  const source = join(folder, 'source')
  app = join(folder, 'app')
  await run(process.execPath, [TSC, '-p', PACKAGE, '--outDir', join(source, 'dist')], ROOT)
  for (const name of ['package.json', 'README.md', 'LICENSE']) await cp(join(PACKAGE, name), join(source, name))
  const stdout = await run('npm', ['pack', '--json', '--pack-destination', folder], source)
  const [{ filename, files }] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }]
  packed = files.map(({ path }) => path)
  await mkdir(app)
  await writeFile(join(app, 'package.json'), '{ "type": "module", "private": true }')
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(folder, filename)], app)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Against the installed package, with library checks on. */
async function typeCheck(names: string[], options: object): Promise<string> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    target: 'es2024',
    lib: ['es2024'],
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules/@types')],
    ...options,
  }
  await writeFile(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: names }))
  return run(process.execPath, [TSC, '-p', app], app)
}

test('holds what it should, and depends on nothing', async () => {
  expect(packed).toEqual(
    expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.d.ts', 'dist/index.js']),
  )
  expect(
    packed.filter((path) => !/^(package\.json|README\.md|LICENSE|dist\/[a-z-]+(\.d)?\.[jt]s)$/.test(path)),
  ).toEqual([])
  const manifest = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as Record<string, unknown>
  expect(manifest).not.toHaveProperty('dependencies')
})

test('installed elsewhere, it runs and has its types, with those of Node and with those of browsers', async () => {
  await writeFile(
    join(app, 'app.ts'),
    `import { ClavigerError, createServerClient, type ServerClient, type Session, type User } from '@claviger/server'
const auth: ServerClient = createServerClient({ issuer: 'https://auth.example.com', site: 'https://a.example', secret: process.env.SECRET })
export function nameOf(session: Session): string {
  switch (session.state) {
    case 'signed-in': { const { user, accessToken }: { user: User; accessToken: string } = session; return user.email + accessToken }
    case 'unreachable': return session.user.email + (session.accessToken ?? '')
    case 'signed-out': return session.user ?? 'nobody'
  }
}
// @ts-expect-error: a slip
createServerClient({ issuer: 'https://a.example', site: 'https://a.example', secret: 'a', secrets: [] })
const { state } = await auth.read(new Request('https://a.example'))
console.log(state, new ClavigerError('network', 0, '') instanceof Error)
`,
  )
  // The slip is one of types alone.
  const code = await readFile(join(app, 'app.ts'), 'utf8')
  await writeFile(join(app, 'run.ts'), code.replace(/^createServerClient.*$/m, ''))
  expect(await typeCheck(['app.ts'], { module: 'nodenext' })).toBe('')
  expect(
    await typeCheck(['app.ts'], {
      module: 'preserve',
      moduleResolution: 'bundler',
      lib: ['es2024', 'dom', 'dom.iterable'],
    }),
  ).toBe('')
  const { stdout } = await promisify(execFile)(process.execPath, ['run.ts'], {
    cwd: app,
    env: { ...process.env, SECRET: Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64') },
  })
  expect(stdout).toBe('signed-out true\n')
})

test('the code in the README compiles against the package', async () => {
  const readme = await readFile(join(PACKAGE, 'README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? '')
  expect(blocks.length).toBeGreaterThanOrEqual(3)
  const names = blocks.map((_, index) => `block-${index}.ts`)
  await Promise.all(blocks.map((block, index) => writeFile(join(app, names[index] ?? ''), block)))
  expect(await typeCheck(names, { module: 'nodenext' })).toBe('')
})
