import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installPackages } from '../../recipes/node-packages.ts'
import { type Program, type Run, sourceFolder, workFolder } from '../program.ts'

const folder = sourceFolder('javascript')
const work = workFolder('javascript')
const files = ['package.json', 'package-lock.json', 'main.mjs']

/** The runtimes as npm has them, installed once, and beside them the verifier as it is now. */
async function prepare(run: Run): Promise<void> {
  const contents = await Promise.all(files.map((name) => readFile(join(folder, name))))
  const wanted = createHash('sha256').update(Buffer.concat(contents)).digest('hex')
  const stamp = join(work, 'stamp')
  if ((await readFile(stamp, 'utf8').catch(() => '')) !== wanted) {
    await rm(work, { recursive: true, force: true })
    await mkdir(work, { recursive: true })
    for (const name of files) await cp(join(folder, name), join(work, name))
    await run({ file: 'npm', args: ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], cwd: work })
    // All that its install script does, but nobody else's.
    await run({ file: process.execPath, args: ['install.js'], cwd: join(work, 'node_modules/bun') })
    await writeFile(stamp, wanted)
  }
  for (const name of ['@claviger', 'jose']) await rm(join(work, 'node_modules', name), { recursive: true, force: true })
  await installPackages(work, 'verifier', ['jose'])
}

const runtime = (name: 'bun' | 'deno', title: string, args: string[]): Program => {
  const file = join(work, 'node_modules/.bin', name)
  return {
    name: `verifier-${name}`,
    title: `@claviger/verifier: ${title}`,
    detect: async () => undefined,
    prepare,
    versions: async (run) => /[\d.]+/.exec(await run({ file, args: ['--version'] }))?.[0] ?? '',
    check: { file, args: [...args, 'main.mjs'], cwd: work },
    known: {},
  }
}

/** Where the verifier runs besides Node, whose tests have it. */
export const runtimes: Program[] = [
  runtime('bun', 'Bun', ['run']),
  runtime('deno', 'Deno', ['run', '--allow-net', '--allow-env', '--no-prompt']),
]
