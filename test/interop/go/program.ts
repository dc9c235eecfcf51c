import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { followerTrial } from '../feed/live.ts'
import { type Program, type Run, sourceFolder, workFolder } from '../program.ts'

const folder = sourceFolder('go')
const work = workFolder('go')
const binary = join(work, 'verify')
/** The machine's own Go, whatever go.mod would have it download; go.sum pins the modules. */
export const env = { GOTOOLCHAIN: 'local', GOWORK: 'off', GOFLAGS: '-mod=readonly -buildvcs=false', CGO_ENABLED: '0' }

export const detectGo =
  (wanted: number) =>
  async (run: Run): Promise<string | undefined> => {
    const version = await run({ file: 'go', args: ['env', 'GOVERSION'], env, cwd: '/' }).catch(() => '')
    const [, minor] = /^go1\.(\d+)/.exec(version) ?? []
    return Number(minor) >= wanted ? undefined : `no Go 1.${wanted} or newer`
  }

const detect = detectGo(25)

async function prepare(run: Run): Promise<void> {
  await mkdir(work, { recursive: true })
  await run({ file: 'go', args: ['build', '-trimpath', '-o', binary, '.'], cwd: folder, env })
}

const versionsOf = (...modules: string[]) => versionsIn(binary, modules)

export const versionsIn =
  (executable: string, modules: string[]) =>
  async (run: Run): Promise<string> => {
    const text = await run({ file: 'go', args: ['version', '-m', executable], env })
    return modules
      .map((module) => {
        const [, name, version] = new RegExp(`dep\\t\\S*(${module})\\S*\\tv(\\S+)`).exec(text) ?? []
        return `${name} ${version}`
      })
      .join(', ')
  }

export const goOidc: Program = {
  name: 'go-oidc',
  title: 'Go: go-oidc',
  detect,
  prepare,
  versions: versionsOf('go-oidc', 'go-jose'),
  check: { file: binary, args: ['oidc'] },
  known: {},
}

export const golangJwt: Program = {
  name: 'go-jwt',
  title: 'Go: golang-jwt and keyfunc',
  detect,
  prepare,
  versions: versionsOf('golang-jwt', 'keyfunc'),
  check: { file: binary, args: ['golangjwt'] },
  trial: followerTrial({ file: binary, args: ['revocations'] }),
  known: {},
}
