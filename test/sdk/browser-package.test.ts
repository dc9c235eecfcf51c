import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { RELEASE } from '../../sdk/browser/src/record.ts'

const folder = join(import.meta.dirname, '../../sdk/browser')
const TSC = join(folder, '../../node_modules/typescript/bin/tsc')

/** @returns standard output; what went wrong, with all that was said, as an error. */
async function run(file: string, args: string[], cwd?: string): Promise<string> {
  try {
    return (await promisify(execFile)(file, args, cwd === undefined ? {} : { cwd })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${file} ${args.join(' ')}\n${stdout}${stderr}`)
  }
}

/** Bytes of an app's code, minified and gzipped, as it would be served. */
interface Weight {
  /** What every visitor loads. */
  app: number
  /** What only those load who want it. */
  later: number
}

async function weigh(app: string): Promise<Weight> {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    root: folder,
    plugins: [
      { name: 'app', resolveId: (id) => (id === 'app' ? id : null), load: (id) => (id === 'app' ? app : null) },
    ],
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      modulePreload: false,
      // For a server: Vite would add what loads things later, which apps have once and most have anyway.
      ssr: true,
      // As the entry of an app, not as a library: Vite leaves a library's white space to the app's build.
      rollupOptions: { input: 'app', preserveEntrySignatures: 'strict', output: { format: 'es' } },
    },
  })
  const [result] = Array.isArray(built) ? built : [built]
  if (!result || !('output' in result)) throw new Error('nothing was built')
  const [entry, ...others] = result.output
  const later = others.map((other) => {
    // The app and what it loads later share nothing, or every visitor would load one file more.
    if (other.type !== 'chunk' || !other.isDynamicEntry || other.imports.length > 0) throw new Error(other.fileName)
    return other.code
  })
  expect(entry.imports).toEqual([])
  const bytes = (code: string) => gzipSync(code, { level: 9 }).length
  return { app: bytes(entry.code), later: later.length && bytes(later.join('')) }
}

test('an app pays about 5 KiB for the package, minified and gzipped, and for nothing that it does not use', async () => {
  const from = (module: string) => `from '${join(folder, 'src', module)}.ts'`
  const core = `export { createClient, ClavigerError } ${from('index')}`
  const sizes = {
    core: await weigh(core),
    'with links to pages': await weigh(`${core}; export { signInUrl } ${from('index')}`),
    'with one’s own account': await weigh(`${core}; export { account } ${from('account')}`),
    'with the token of a link': await weigh(`${core}; export { takeToken } ${from('account')}`),
  }
  console.log('@claviger/browser', sizes)
  expect(sizes.core.app).toBeLessThan(5.3 * 1024)
  expect(sizes.core.later, 'with `dpop`, and then alone').toBeLessThan(2.3 * 1024)
  expect(sizes['with links to pages'].app - sizes.core.app).toBeLessThan(250)
  expect(sizes['with one’s own account'].app - sizes.core.app).toBeLessThan(700)
  expect(sizes['with the token of a link'].app - sizes.core.app).toBeLessThan(150)
})

test('it depends on nothing, and knows React only where an app has it', async () => {
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>
  expect(manifest).not.toHaveProperty('dependencies')
  expect(manifest.peerDependencies).toEqual({ react: '^19.0.0' })
  expect(manifest.peerDependenciesMeta).toEqual({ react: { optional: true } })
  expect(manifest.version, 'what a client notes down').toBe(RELEASE)
})

test('packed and installed elsewhere, it is there with its types', async () => {
  const place = await mkdtemp(join(tmpdir(), 'claviger-pack-'))
  try {
    const [source, app] = [join(place, 'source'), join(place, 'app')]
    await run(process.execPath, [TSC, '-p', folder, '--outDir', join(source, 'dist')])
    for (const name of ['package.json', 'README.md']) await cp(join(folder, name), join(source, name))
    const packed = await run('npm', ['pack', '--json', '--pack-destination', place], source)
    const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }]
    const paths = files.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'dist/index.js', 'dist/index.d.ts']))
    expect(
      paths.filter((path) => !/^(package\.json|README\.md|LICENSE|dist\/(dpop\/)?[a-z0-9-]+(\.d)?\.[jt]s)$/.test(path)),
    ).toEqual([])

    await mkdir(app)
    await writeFile(join(app, 'package.json'), '{ "type": "module", "private": true }')
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', join(place, filename)], app)
    await writeFile(
      join(app, 'app.ts'),
      `import { account } from '@claviger/browser/account'
      import { type Client, ClavigerError, createClient, type User } from '@claviger/browser'
      const client: Client = createClient({ issuer: 'https://auth.example.com' })
      const user: User | null = await client.ready
      console.log(user, client.user, new ClavigerError('network', 0, '') instanceof Error)
      console.log(await account(client).me().catch((error: ClavigerError) => error.code))\n`,
    )
    const options = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'nodenext', '--types', '']
    await run(process.execPath, [TSC, ...options, '--lib', 'es2022,dom', 'app.ts'], app)
    expect(await run(process.execPath, ['app.ts'], app)).toBe('null null true\nno_storage\n')
  } finally {
    await rm(place, { recursive: true, force: true })
  }
})

test('the code in the README compiles against the package', async () => {
  const readme = await readFile(join(folder, 'README.md'), 'utf8')
  const blocks = [...readme.matchAll(/^```(tsx?)\n(.*?)^```$/gms)]
  expect(blocks.length).toBe(readme.match(/^```[jt]sx?$/gm)?.length)
  expect(blocks.length).toBeGreaterThanOrEqual(6)
  const place = await mkdtemp(join(tmpdir(), 'claviger-readme-'))
  try {
    await Promise.all(
      blocks.map(([, type = '', code = ''], index) => writeFile(join(place, `block-${index}.${type}`), code)),
    )
    await writeFile(
      join(place, 'expo.d.ts'),
      `declare module 'expo-secure-store' {
        export function getItemAsync(key: string): Promise<string | null>
        export function setItemAsync(key: string, value: string): Promise<void>
        export function deleteItemAsync(key: string): Promise<void>
      }`,
    )
    const options = {
      compilerOptions: {
        target: 'es2024',
        module: 'esnext',
        moduleResolution: 'bundler',
        lib: ['es2024', 'dom', 'dom.iterable'],
        types: ['node'],
        typeRoots: [join(folder, '../../node_modules/@types')],
        noEmit: true,
        strict: true,
        exactOptionalPropertyTypes: true,
        allowImportingTsExtensions: true,
        skipLibCheck: true,
        jsx: 'react-jsx',
        paths: {
          '@claviger/browser': [join(folder, 'src/index.ts')],
          '@claviger/browser/*': [join(folder, 'src/*.ts')],
          'react/*': [join(folder, '../../node_modules/@types/react/*')],
        },
      },
      include: ['./*.ts', './*.tsx'],
    }
    await writeFile(join(place, 'tsconfig.json'), JSON.stringify(options))
    expect(await run(process.execPath, [TSC, '-p', place])).toBe('')
  } finally {
    await rm(place, { recursive: true, force: true })
  }
})
