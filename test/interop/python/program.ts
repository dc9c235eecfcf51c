import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { followerTrial } from '../feed/live.ts'
import { type Program, type Run, sourceFolder, workFolder } from '../program.ts'

const folder = sourceFolder('python')
const work = workFolder('python')
export const environment = join(work, 'venv')
const python = join(environment, 'bin', 'python')
/** Without the machine's own settings of pip, where they would change what is installed. */
export const quiet = { PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1', PYTHONDONTWRITEBYTECODE: '1' }

export async function detect(run: Run): Promise<string | undefined> {
  const test = 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
  return run({ file: 'python3', args: ['-c', test] }).then(
    () => undefined,
    () => 'no Python 3.11 or newer with venv',
  )
}

/** A virtual environment with exactly the files whose hashes are in requirements.txt; made again when that changes. */
export async function prepare(run: Run): Promise<void> {
  const version = await run({ file: 'python3', args: ['--version'] })
  const wanted = createHash('sha256')
    .update(version)
    .update(readFileSync(join(folder, 'requirements.txt')))
    .digest('hex')
  const stamp = join(work, 'stamp')
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return
  await rm(work, { recursive: true, force: true })
  await mkdir(work, { recursive: true })
  await run({ file: 'python3', args: ['-m', 'venv', environment] })
  const args = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--require-hashes',
    '--only-binary',
    ':all:',
    '-r',
    'requirements.txt',
  ]
  await run({ file: python, args, cwd: folder, env: quiet })
  await writeFile(stamp, wanted)
}

export const versionsOf =
  (...packages: string[]) =>
  async (run: Run): Promise<string> => {
    const script = 'import sys; from importlib.metadata import version\nfor p in sys.argv[1:]: print(p, version(p))'
    return (await run({ file: python, args: ['-c', script, ...packages] })).trim().replaceAll('\n', ', ')
  }

const main = (snippet: string) => ({ file: python, args: ['main.py', snippet], cwd: folder, env: quiet })

export const pyjwt: Program = {
  name: 'python-pyjwt',
  title: 'Python: PyJWT',
  detect,
  prepare,
  versions: versionsOf('PyJWT', 'cryptography'),
  check: main('verify_pyjwt'),
  trial: followerTrial(main('verify_revocations')),
  known: {},
}

export const authlib: Program = {
  name: 'python-authlib',
  title: 'Python: Authlib',
  detect,
  prepare,
  versions: versionsOf('Authlib', 'joserfc'),
  check: main('verify_authlib'),
  known: {
    'unknown-header-parameter':
      'joserfc refuses header parameters that it does not know, and Authlib has no setting for that. The issuer sends none.',
  },
}
