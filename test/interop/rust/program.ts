import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Program, sourceFolder, workFolder } from '../program.ts'

const folder = sourceFolder('rust')
const built = workFolder('rust')

export const rust: Program = {
  name: 'rust',
  title: 'Rust: jsonwebtoken',
  async detect(run) {
    const about = await run({ file: 'cargo', args: ['--version'] }).catch(() => '')
    return Number(/^cargo 1\.(\d+)/.exec(about)?.[1]) >= 88 ? undefined : 'no cargo 1.88 or newer'
  },
  async prepare(run) {
    // --locked: Cargo.lock says which versions. Without TLS: the issuers of the test are on loopback.
    const args = ['build', '--quiet', '--locked', '--no-default-features', '--target-dir', built]
    await run({ file: 'cargo', args, cwd: folder })
  },
  async versions() {
    const lock = await readFile(join(folder, 'Cargo.lock'), 'utf8')
    return `jsonwebtoken ${/name = "jsonwebtoken"\nversion = "(.*)"/.exec(lock)?.[1]}`
  },
  check: { file: join(built, 'debug', 'claviger-interop') },
  known: {},
}
