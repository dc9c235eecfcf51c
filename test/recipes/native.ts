import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { atOnce } from '../support/at-once.ts'
import { type Forwarder, startForwarder } from '../support/forwarder.ts'
import { type OrdersIssuer, prepareIssuer } from './issuer.ts'
import type { Recipe } from './page.ts'

interface Outcome {
  code: number | null
  out: string
  err: string
}

/** A client of the page, which reaches the server over a line that can be cut. */
interface Client {
  issuer: OrdersIssuer
  line: Forwarder
  home: string
  begin(args: string[], stdin?: string): { child: ChildProcess; outcome: Promise<Outcome> }
  /** @returns the id of the session that it is in now. */
  session(): Promise<string>
}

/** A server without grace, to which only the right key tells a retry from theft, and whose tokens are old at once. */
const settings = { REFRESH_GRACE_SECONDS: '0', ACCESS_TOKEN_SECONDS: '5' }

/**
 * What every recipe of a native client promises.
 * @param folder with the files of the page, built where they have to be.
 * @throws AssertionError
 */
export async function tryNative(
  { run }: Recipe,
  { folder, databaseUrl, signal }: { folder: string; databaseUrl: string; signal: AbortSignal },
): Promise<void> {
  const program = /^(.+) sign-in /m.exec(run)?.[1]?.split(' ')
  if (!program) throw new Error(`the page does not say how to sign in: ${run}`)
  await using stack = new AsyncDisposableStack()
  const issuer = stack.use(await prepareIssuer(databaseUrl, settings))
  await issuer.start()
  const line = stack.use(await startForwarder(Number(new URL(issuer.url).port)))
  const home = await mkdtemp(join(tmpdir(), 'claviger-native-'))
  stack.defer(() => rm(home, { recursive: true, force: true }))

  const begin = (args: string[], stdin = '') => {
    const [file = '', ...rest] = [...program, ...args]
    const env = { PATH: process.env.PATH ?? '', HOME: home, ISSUER: `http://127.0.0.1:${line.port}` }
    // Without a terminal, so that the password is read from standard input.
    const child = spawn(file, rest, { cwd: folder, env, detached: true, signal, killSignal: 'SIGKILL' })
    child.on('error', () => {})
    child.stdin.on('error', () => {})
    child.stdin.end(stdin)
    const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { child, outcome: ended.then(([out, err, [code]]) => ({ code: code as number | null, out, err })) }
  }
  const session = async () => sessionIn(await begin(['get', `${issuer.url}/sessions`]).outcome)
  const client: Client = { issuer, line, home, begin, session }

  await signsIn(client)
  for (const survives of [lostAnswer, kill, killsAtAnyMoment, manyAtOnce, outage, refusals, stranger]) {
    const before = await session()
    await survives(client)
    equal(await session(), before, `the session is the same after: ${survives.name}`)
  }
  await ends(client)
  await signsOut(client)
}

async function signsIn({ issuer, begin, home }: Client): Promise<void> {
  const { email, password } = issuer.accounts.visitor
  const early = await begin(['get', `${issuer.url}/me`]).outcome
  notEqual(early.code, 0)
  match(early.err, /signed out/)
  const signedIn = await begin(['sign-in', email], `${password}\n`).outcome
  equal(signedIn.code, 0, signedIn.err)
  const me = await begin(['get', `${issuer.url}/me`]).outcome
  equal(me.code, 0, me.err)
  match(me.out, new RegExp(email))
  // Whoever else has an account on the machine reads nothing.
  const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  ok(files.length > 0)
  for (const { parentPath, name } of files) equal((await stat(join(parentPath, name))).mode & 0o777, 0o600, name)
}

/** The server has made the refresh, and its answer never arrives. */
async function lostAnswer(client: Client): Promise<void> {
  const { outcome } = await loseAnswer(client)
  const { code, err } = await outcome
  equal(code, 0, err)
}

/** The same, and the process is killed while it waits. */
async function kill(client: Client): Promise<void> {
  const { outcome } = await loseAnswer(client, (child) => child.kill('SIGKILL'))
  equal((await outcome).code, null)
}

/** @param meanwhile while the answer is held up. */
async function loseAnswer({ issuer, line, begin }: Client, meanwhile?: (child: ChildProcess) => unknown) {
  const before = await issuer.rotations()
  line.pause('toClient')
  const begun = begin(['get', `${issuer.url}/me`])
  await waitFor(async () => (await issuer.rotations()) > before)
  meanwhile?.(begun.child)
  line.cut()
  line.resume('toClient')
  return begun
}

async function killsAtAnyMoment({ issuer, begin }: Client): Promise<void> {
  const started = performance.now()
  equal((await begin(['get', `${issuer.url}/me`]).outcome).code, 0)
  const whole = performance.now() - started
  const steps = 24
  for (let step = 1; step <= steps; step++) {
    const { child, outcome } = begin(['get', `${issuer.url}/me`])
    await sleep((whole * step) / steps)
    child.kill('SIGKILL')
    await outcome
  }
}

async function manyAtOnce({ issuer, begin }: Client): Promise<void> {
  const outcomes = await atOnce(6, () => begin(['get', `${issuer.url}/me`]).outcome)
  deepEqual(
    outcomes.filter(({ code }) => code !== 0),
    [],
  )
}

/** A client that gives up throws nothing away. */
async function outage({ issuer, line, begin }: Client): Promise<void> {
  line.lead(undefined)
  line.cut()
  const { code, err } = await begin(['get', `${issuer.url}/me`]).outcome
  equal(code, 1)
  match(err, /try later/)
  line.lead(Number(new URL(issuer.url).port))
}

/** They say when to come back. */
async function refusals({ issuer, line, begin }: Client): Promise<void> {
  const answers = [503, 429]
  await using server = await listen((_request, response) => {
    const status = answers.shift() ?? 503
    if (answers.length === 0) line.lead(Number(new URL(issuer.url).port))
    response.writeHead(status, { 'retry-after': '1', connection: 'close' }).end()
  })
  line.lead(server.port)
  line.cut()
  const { code, err } = await begin(['get', `${issuer.url}/me`]).outcome
  equal(code, 0, err)
  deepEqual(answers, [])
}

/** A 401 of something in between is not the server's word on the session. */
async function stranger({ issuer, line, begin }: Client): Promise<void> {
  await using server = await listen((_request, response) => {
    response.writeHead(401, { 'content-type': 'text/html', connection: 'close' }).end('<p>Sign in to the network</p>')
  })
  line.lead(server.port)
  equal((await begin(['get', `${issuer.url}/me`]).outcome).code, 1)
  line.lead(Number(new URL(issuer.url).port))
}

async function listen(answer: RequestListener): Promise<AsyncDisposable & { port: number }> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Ended from elsewhere: nothing is left on the disk. */
async function ends({ issuer, begin, home }: Client): Promise<void> {
  const token = await issuer.signIn('visitor')
  await fetch(`${issuer.url}/sessions?including_current=true`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token}` },
  })
  const { code, err } = await begin(['get', `${issuer.url}/me`]).outcome
  equal(code, 1)
  match(err, /signed out/)
  deepEqual(await sessionFiles(home), [])
}

async function signsOut({ issuer, begin, home }: Client): Promise<void> {
  const { email, password } = issuer.accounts.visitor
  equal((await begin(['sign-in', email], `${password}\n`).outcome).code, 0)
  equal((await begin(['sign-out']).outcome).code, 0)
  deepEqual(await sessionFiles(home), [])
  match((await begin(['get', `${issuer.url}/me`]).outcome).err, /signed out/)
}

/** Files that hold something. */
async function sessionFiles(home: string): Promise<string[]> {
  const files = (await readdir(home, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(({ parentPath, name }) => stat(join(parentPath, name))))
  return files.filter((_, index) => sizes[index]?.size !== 0).map(({ name }) => name)
}

function sessionIn({ code, out, err }: Outcome): string {
  equal(code, 0, err)
  const { sessions } = JSON.parse(out) as { sessions: { id: string; current: boolean }[] }
  return sessions.find(({ current }) => current)?.id ?? ''
}

async function waitFor(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error('it never came')
    await sleep(20)
  }
}
