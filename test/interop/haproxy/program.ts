import { join } from 'node:path'
import { freePort } from '../../support/server.ts'
import { createRun } from '../commands.ts'
import { askGateway, startService, waitForPort } from '../gateway.ts'
import { type Job, type Program, type Run, sourceFolder, type Verdict } from '../program.ts'

const folder = sourceFolder('haproxy')

/** Debian installs it where only root's PATH leads. */
const env = { PATH: `${process.env.PATH}:/usr/sbin` }

export const haproxy: Program = {
  name: 'haproxy',
  title: 'HAProxy: jwt_verify',
  async detect(run) {
    const about = await run({ file: 'haproxy', args: ['-vv'], env }).catch(() => undefined)
    if (about === undefined) return 'no haproxy on this machine'
    return about.includes('+OPENSSL') ? undefined : 'this haproxy has no OpenSSL, so no jwt_verify'
  },
  async prepare() {},
  async versions(run) {
    const about = await run({ file: 'haproxy', args: ['-v'], env })
    return `HAProxy ${/version (\d[\d.]*)/.exec(about)?.[1]}`
  },
  check,
  known: {},
}

async function check(job: Job, run: Run): Promise<Verdict[]> {
  await using service = await startService()
  const keys = join(job.folder, 'jwt')
  await run({ file: process.execPath, args: [join(folder, 'refresh-keys.mjs'), job.issuer, keys] })
  const port = await freePort()
  const stop = new AbortController()
  const ended = createRun(AbortSignal.any([job.signal, stop.signal]))({
    file: 'haproxy',
    args: ['-db', '-f', join(folder, 'verify.cfg')],
    env: {
      ...env,
      ISSUER: job.issuer,
      AUDIENCE: job.audience,
      SERVICE: service.address,
      LISTEN: `127.0.0.1:${port}`,
      KEYS: keys,
    },
  })
  try {
    await waitForPort(port, ended)
    return await askGateway(port, job)
  } finally {
    stop.abort()
  }
}
