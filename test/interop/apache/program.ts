import { access, chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../support/server.ts'
import { createRun } from '../commands.ts'
import { askGateway, startService, waitForPort } from '../gateway.ts'
import { type Job, type Program, type Run, sourceFolder, type Verdict } from '../program.ts'
import { serveKeySet } from './key-set.ts'

const folder = sourceFolder('apache')
const modules = '/usr/lib/apache2/modules'

/** Debian installs it where only root's PATH leads. */
const env = { PATH: `${process.env.PATH}:/usr/sbin` }

export const apache: Program = {
  name: 'apache',
  title: 'Apache: mod_auth_openidc',
  async detect(run) {
    const found = await run({ file: 'apache2', args: ['-v'], env }).catch(() => undefined)
    if (found === undefined) return "no apache2 of Debian's on this machine"
    return access(join(modules, 'mod_auth_openidc.so')).then(
      () => undefined,
      () => 'no mod_auth_openidc on this machine',
    )
  },
  async prepare() {},
  async versions(run) {
    const about = await run({ file: 'apache2', args: ['-v'], env })
    const module = await run({ file: 'dpkg-query', args: ['-f', '${Version}', '-W', 'libapache2-mod-auth-openidc'] })
    return `Apache ${/Apache\/([\d.]+)/.exec(about)?.[1]}, mod_auth_openidc ${/^[\d.]+/.exec(module)?.[0]}`
  },
  check,
  known: {
    'iss-list':
      'a claim that is a list of one counts as that one, and nothing in Apache can tell them apart; only the issuer can sign such a token',
  },
}

/** What a server of Debian's has around a snippet in conf-enabled. */
const surroundings = (port: number, job: Job, certificate: string): string => `
ServerRoot "${job.folder}"
ServerName gateway.example
PidFile "${job.folder}/pid"
ErrorLog "${job.folder}/error.log"
LogLevel warn auth_openidc:info
Listen 127.0.0.1:${port}
User www-data
Group www-data
StartServers 1
${['mpm_event', 'authn_core', 'authz_core', 'headers', 'proxy', 'proxy_http', 'auth_openidc']
  .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`)
  .join('\n')}
OIDCCABundlePath "${certificate}"
Include "${join(folder, 'verify.conf')}"
`

async function check(job: Job, run: Run): Promise<Verdict[]> {
  // Started by root it gives up root's rights, and then it must still find the certificate.
  await chmod(job.folder, 0o711)
  await using service = await startService()
  await using keySet = await serveKeySet(job, run)
  const port = await freePort()
  const file = join(job.folder, 'httpd.conf')
  await writeFile(file, surroundings(port, job, keySet.certificate))
  const settings = {
    ...env,
    ISSUER: job.issuer,
    KEY_SET: keySet.url,
    AUDIENCE: job.audience,
    SERVICE: service.address,
  }
  const stop = new AbortController()
  const apache = createRun(AbortSignal.any([job.signal, stop.signal]), settings)
  const ended = apache({ file: 'apache2', args: ['-f', file, '-D', 'FOREGROUND'] })
  try {
    await waitForPort(port, ended)
    return await askGateway(port, job)
  } catch (error) {
    const log = await readFile(join(job.folder, 'error.log'), 'utf8').catch(() => '')
    throw new Error(`${(error as Error).message}\n${log.split('\n').slice(-10).join('\n')}`)
  } finally {
    // Its children, its mutexes and its shared memory go with it.
    await run({ file: 'apache2', args: ['-f', file, '-k', 'stop'], env: settings }).catch(() => stop.abort())
    await ended.catch(() => {})
  }
}
