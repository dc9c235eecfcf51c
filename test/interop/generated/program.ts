import { createHash, randomUUID } from 'node:crypto'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startServer } from '../../support/server.ts'
import { createRun } from '../commands.ts'
import { type Command, type Program, type Run, sourceFolder, workFolder } from '../program.ts'
import { detect, environment, prepare as preparePython, quiet, versionsOf } from '../python/program.ts'

/** A client that a generator makes of the running server's description, and a program that signs in and out with it. */
interface GeneratedClient extends Pick<Program, 'name' | 'title' | 'detect' | 'prepare' | 'versions'> {
  /** Where `openapi.json` is put, and the commands run, in order: they make the client, check it and use it. */
  folder: string
  commands: Command[]
}

function generatedClient({ folder, commands, ...program }: GeneratedClient): Program {
  return {
    ...program,
    trial: async ({ databaseUrl, signal }) => {
      await using server = await startServer({ databaseUrl, env: { DOCS: 'true' } })
      const account = { email: `user-${randomUUID()}@example.com`, password: randomUUID() }
      await ask(`${server.url}/register`, account)
      await writeFile(join(folder, 'openapi.json'), await ask(`${server.url}/openapi.json`))
      const run = createRun(signal, { ISSUER: server.url, EMAIL: account.email, PASSWORD: account.password })
      for (const command of commands) await run({ cwd: folder, ...command })
    },
    known: {},
  }
}

async function ask(url: string, body?: object): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, body ? { method: 'POST', headers, body: JSON.stringify(body) } : {})
  if (!answer.ok) throw new Error(`${url} was answered ${answer.status}: ${await answer.text()}`)
  return await answer.text()
}

const typescriptSource = join(sourceFolder('generated'), 'typescript')
const typescriptFolder = workFolder('generated/typescript')
const installed = (name: string) => join(typescriptFolder, 'node_modules/.bin', name)

async function prepareTypescript(run: Run): Promise<void> {
  const lock = await readFile(join(typescriptSource, 'package-lock.json'))
  const wanted = createHash('sha256').update(lock).digest('hex')
  const stamp = join(typescriptFolder, 'stamp')
  const present = await readFile(stamp, 'utf8').catch(() => '')
  if (present !== wanted) await rm(typescriptFolder, { recursive: true, force: true })
  await mkdir(typescriptFolder, { recursive: true })
  await cp(typescriptSource, typescriptFolder, { recursive: true })
  if (present === wanted) return
  await run({ file: 'npm', args: ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], cwd: typescriptFolder })
  await writeFile(stamp, wanted)
}

const pythonSource = join(sourceFolder('generated'), 'python')
const pythonFolder = workFolder('generated/python')

export const generatedClients: Program[] = [
  generatedClient({
    name: 'client-typescript',
    title: 'Generated client: TypeScript',
    detect: async () => undefined,
    prepare: prepareTypescript,
    versions: async (run) => (await run({ file: installed('openapi-typescript'), args: ['--version'] })).trim(),
    folder: typescriptFolder,
    commands: [
      { file: installed('openapi-typescript'), args: ['openapi.json', '--output', 'api.d.ts'] },
      { file: installed('tsc') },
      { file: process.execPath, args: ['main.mts'] },
    ],
  }),
  generatedClient({
    name: 'client-python',
    title: 'Generated client: Python',
    detect,
    prepare: async (run) => {
      await preparePython(run)
      await mkdir(pythonFolder, { recursive: true })
    },
    versions: versionsOf('openapi-python-client', 'httpx'),
    folder: pythonFolder,
    commands: [
      {
        file: join(environment, 'bin/openapi-python-client'),
        args: ['generate', '--path', 'openapi.json', '--overwrite', '--config', join(pythonSource, 'config.yaml')],
        env: { ...quiet, PATH: `${environment}/bin:${process.env.PATH}` },
      },
      {
        file: join(environment, 'bin/python'),
        args: [join(pythonSource, 'main.py')],
        env: { ...quiet, PYTHONPATH: join(pythonFolder, 'client') },
      },
    ],
  }),
]
