import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request as open, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { waitForPort } from '../interop/gateway.ts'
import { installPackages } from '../recipes/node-packages.ts'
import { layOut, readRecipe } from '../recipes/page.ts'
import { noteSecret } from '../support/canary.ts'
import { freePort } from '../support/server.ts'

const PACKAGES = join(import.meta.dirname, '../recipes/nextjs')
const run = promisify(execFile)

/** The site of docs/recipes/nextjs.md, built. Undefined where Next.js could not be had. */
export async function buildSite(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'claviger-nextjs-'))
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) await cp(join(PACKAGES, name), join(folder, name))
  try {
    await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: folder, timeout: 180_000 })
  } catch (error) {
    console.warn(`Next.js could not be installed: ${(error as Error).message.slice(0, 500)}`)
    await rm(folder, { recursive: true, force: true })
    return undefined
  }
  await installPackages(folder, 'server', [])
  await layOut(await readRecipe('nextjs'), folder)
  await next(folder, 'build')
  return folder
}

/** As its command does it, without what it tells its makers. */
async function next(folder: string, ...args: string[]): Promise<void> {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' }
  await run(process.execPath, [join(folder, 'node_modules/next/dist/bin/next'), ...args], { cwd: folder, env })
}

export interface NextSite extends AsyncDisposable {
  url: string
  output(): string
}

/** Two processes of the site, and a load balancer that gives them requests in turn. */
export async function startSite(folder: string, issuer: string): Promise<NextSite> {
  const secret = randomBytes(32).toString('base64')
  noteSecret(secret)
  const port = await freePort()
  const url = `http://localhost:${port}`
  const ports = [await freePort(), await freePort()]
  let output = ''
  const children = ports.map((own): ChildProcess => {
    const child = spawn(
      process.execPath,
      [join(folder, 'node_modules/next/dist/bin/next'), 'start', '-H', '127.0.0.1', '-p', String(own)],
      {
        cwd: folder,
        env: {
          PATH: process.env.PATH,
          NODE_ENV: 'production',
          NEXT_TELEMETRY_DISABLED: '1',
          ISSUER: issuer,
          SITE: url,
          SESSION_SECRET: secret,
        },
        // A group of its own: Next.js starts more processes.
        detached: true,
      },
    )
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += String(chunk)))
    return child
  })
  let count = 0
  const balance = (request: IncomingMessage, response: ServerResponse) => {
    const { method, url: path, headers } = request
    const options = { host: '127.0.0.1', port: ports[count++ % ports.length], path, method, headers }
    const onward = open(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    request.pipe(onward)
  }
  const balancer = createServer(balance).listen(port, '127.0.0.1')
  await once(balancer, 'listening')
  const stop = async () => {
    balancer.close()
    balancer.closeAllConnections()
    for (const child of children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)) {
      const exit = once(child, 'exit')
      if (child.pid) process.kill(-child.pid, 'SIGKILL')
      await exit
    }
  }
  const early = Promise.race(children.map((child) => once(child, 'exit'))).then(() =>
    Promise.reject(new Error(`the site has ended:\n${output}`)),
  )
  try {
    for (const own of ports) await waitForPort(own, early)
  } catch (error) {
    await stop()
    throw error
  }
  early.catch(() => {})
  return { url, output: () => output, [Symbol.asyncDispose]: stop }
}
