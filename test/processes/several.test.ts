import { randomBytes } from 'node:crypto'
import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../cli/support.ts'
import { noteSecret } from '../support/canary.ts'
import { hasProc } from '../support/child-processes.ts'
import { createProofKey } from '../support/dpop.ts'
import { createHonestClient, type HonestClient, met, progress, signUpOver, storm } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, query } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { metricOf, servingOf, untilServing } from '../support/workers.ts'

async function start(env: Record<string, string>) {
  const database = await cloneDatabase()
  const server = await startServer({ databaseUrl: database.url, env, timeoutMs: 60_000 }).catch(async (error) => {
    await database.drop()
    throw error
  })
  return {
    server,
    database,
    ended: async (): Promise<number> => {
      const [row] = await query(database.ownerUrl, 'SELECT count(*)::int AS n FROM families WHERE ended_at IS NOT NULL')
      return Number(row?.n)
    },
    [Symbol.asyncDispose]: async () => {
      await server.kill()
      await database.drop()
    },
  }
}

/** Clients that refresh, and one that signs in again and again. */
async function clientsOf(server: RunningProcess, count: number) {
  const { email, password, tokens } = await signUpOver(server.url, count)
  const clients = tokens.map((each) => createHonestClient({ ...each, server: () => server.url }))
  const signIns = new Map<number, number>()
  const signIn = async () => {
    const answer = await postJson(`${server.url}/login`, { email, password, client_id: 'native' }).catch(
      () => undefined,
    )
    const status = answer?.status ?? 0
    signIns.set(status, (signIns.get(status) ?? 0) + 1)
    // The queue of each process has room for its share of the wait.
    await sleep(200)
  }
  return { clients, signIns, signIn, email, password }
}

/** SIGKILL, when requests have come that it will not answer, and connections that it has not taken. */
async function killInTheMiddle(pid: number) {
  process.kill(pid, 'SIGSTOP')
  await sleep(100)
  process.kill(pid, 'SIGKILL')
}

/** Does something to each process that serves at the beginning, one after the other, each time when another has come. */
async function inTurn(
  server: RunningProcess,
  count: number,
  clients: HonestClient[],
  act: (pid: number) => Promise<void> | void,
) {
  const first = servingOf(server)
  expect(first).toHaveLength(count)
  const gone: number[] = []
  for (const pid of first) {
    await progress(clients, 2)
    await act(pid)
    gone.push(pid)
    await untilServing(server, count, gone)
  }
  await progress(clients, 2)
}

describe.skipIf(!hasProc)('several processes', () => {
  test.each([2, 4])(
    '%i, killed one after the other in a storm: who finds its connection broken asks again, and nobody is signed out',
    { timeout: 180_000 },
    async (count) => {
      await using several = await start({ PROCESSES: String(count), SESSIONS_PER_USER: '1000' })
      const { server } = several
      const { clients, signIns, signIn } = await clientsOf(server, 12)
      const over = inTurn(server, count, clients, killInTheMiddle)
      let done = false
      const finish = () => {
        done = true
      }
      over.then(finish, finish)
      const signingIn = (async () => {
        while (!done) await signIn()
      })()
      // On new connections, of which some are on their way to a process when it is killed.
      let hanging = 0
      const strangers = Array.from({ length: 12 }, async () => {
        while (!done) {
          const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(20_000) }
          await fetch(`${server.url}/livez`, options).then(
            (answer) => answer.text(),
            ({ name }: Error) => name === 'TimeoutError' && hanging++,
          )
          await sleep(50)
        }
      })
      // An honest client throws where it is answered 401.
      await Promise.all([storm(clients, over), over, signingIn, ...strangers])

      expect(hanging).toBe(0)
      expect(met(clients, 0), 'the kills must have been felt').toBeGreaterThan(0)
      // A machine that is busy with other work tells some to come back.
      const troubles = [...clients.flatMap((client) => [...client.troubles.keys()]), ...signIns.keys()]
      expect(troubles.filter((status) => ![0, 200, 503].includes(status))).toEqual([])
      expect(signIns.get(200)).toBeGreaterThan(0)
      expect(await several.ended()).toBe(0)
      expect(await metricOf(server, 'claviger_processes')).toBe(count)
      expect(await metricOf(server, 'claviger_processes_ended_total')).toBe(count)
    },
  )

  test('each is told to end in a storm: another takes its place, and no request fails', {
    timeout: 180_000,
  }, async () => {
    // Connections that are kept alive without use are waited for.
    await using several = await start({ PROCESSES: '2', KEEP_ALIVE_SECONDS: '5' })
    const { server } = several
    const { clients } = await clientsOf(server, 12)
    const first = servingOf(server)
    const over = (async () => {
      await inTurn(server, 2, clients, (pid) => void process.kill(pid, 'SIGTERM'))
      while (servingOf(server).some((pid) => first.includes(pid))) await sleep(50)
    })()
    let done = false
    const finish = () => {
      done = true
    }
    over.then(finish, finish)
    // On connections that are idle in between.
    const probes: number[] = []
    const probing = Array.from({ length: 12 }, async () => {
      while (!done) {
        const answer = await fetch(`${server.url}/livez`).catch(() => undefined)
        probes.push(answer?.status ?? 0)
        await answer?.text()
        await sleep(Math.random() * 1000)
      }
    })
    await Promise.all([storm(clients, over), over, ...probing])
    expect(clients.map(({ troubles }) => [...troubles])).toEqual(clients.map(() => []))
    expect(new Set(probes)).toEqual(new Set([200]))
    expect(await several.ended()).toBe(0)
    // Nothing was lost: those that have ended had told what they counted.
    const refreshes = clients.reduce((sum, client) => sum + client.refreshes, 0)
    await expect.poll(() => metricOf(server, 'claviger_refreshes_total')).toBe(refreshes)
  })
})

describe.skipIf(!hasProc)('two processes', () => {
  let two: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    two = await start({ PROCESSES: '2' })
  })
  afterAll(() => two[Symbol.asyncDispose]())

  test('what is done once for all of them is done by one, and by another when that one has ended', {
    timeout: 120_000,
  }, async () => {
    const { server, database } = two
    const rows = () => query(database.ownerUrl, `SELECT details FROM audit WHERE type = 'server.started'`)
    expect(await rows()).toHaveLength(1)
    // Only who leads counts the services that follow the feed.
    const areCounted = async () =>
      (await (await fetch(`${server.metricsUrl}/metrics`)).text()).includes('claviger_verifiers{')
    await expect.poll(areCounted).toBe(true)
    const [leader = 0] = servingOf(server)
    process.kill(leader, 'SIGKILL')
    await untilServing(server, 2, [leader])
    // What the one that has ended measured of the moment is over.
    await expect.poll(areCounted, { timeout: 60_000 }).toBe(true)
    expect(await rows()).toHaveLength(1)
  })

  test('while one after the other is killed, the server is ready, and no counter goes back', {
    timeout: 120_000,
  }, async () => {
    const { server } = two
    const { tokens } = await signUpOver(server.url, 1)
    const me = () => fetch(`${server.url}/me`, { headers: { authorization: `Bearer ${tokens[0]?.accessToken}` } })
    const count = () => metricOf(server, 'claviger_http_request_seconds_count')
    const gone: number[] = []
    const probe = async () => (await fetch(`${server.url}/readyz`, { headers: { connection: 'close' } })).status
    let before = await count()
    for (const pid of servingOf(server)) {
      for (let turn = 0; turn < 20; turn++) expect((await me()).status).toBe(200)
      // A busy process may report later than a scrape waits.
      await expect.poll(count).toBeGreaterThanOrEqual(before + 20)
      const known = await count()
      process.kill(pid, 'SIGKILL')
      gone.push(pid)
      const back = untilServing(server, 2, gone)
      let waiting = true
      void back.then(() => {
        waiting = false
      })
      for (before = known; waiting; ) {
        const now = await count()
        expect(now).toBeGreaterThanOrEqual(before)
        before = now
        await expect.poll(probe).toBe(200)
        await sleep(10)
      }
    }
  })

  test('one that leaves closes no idle connection: a request may be on its way', { timeout: 60_000 }, async () => {
    const { server } = two
    const visitors = Array.from({ length: 12 }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
    const ask = (agent: Agent) =>
      new Promise<{ status: number | undefined; connection: string | undefined; again: boolean }>((resolve, reject) => {
        const request = get(`${server.url}/livez`, { agent }, (answer) => {
          const { statusCode: status, headers } = answer.resume()
          answer.on('end', () => resolve({ status, connection: headers.connection, again: request.reusedSocket }))
        })
        request.on('error', reject)
      })
    try {
      for (const agent of visitors)
        expect(await ask(agent)).toEqual({ status: 200, connection: 'keep-alive', again: false })
      const first = servingOf(server)
      for (const pid of first) process.kill(pid, 'SIGTERM')
      await untilServing(server, 2, first)
      await expect.poll(() => server.output().match(/leaving the work/g)?.length).toBe(2)
      for (const agent of visitors) expect(await ask(agent)).toEqual({ status: 200, connection: 'close', again: true })
    } finally {
      for (const agent of visitors) agent.destroy()
    }
  })
})

describe.skipIf(!hasProc)('four processes', () => {
  const env = { CLAVIGER_SECRET: randomBytes(32).toString('base64'), ISSUER: 'http://localhost:3000' }
  let four: Awaited<ReturnType<typeof start>>
  beforeAll(async () => {
    four = await start({ PROCESSES: '4', RATE_LIMIT_ACCOUNT_PER_MINUTE: '80', LOG_LEVEL: 'debug', ...env })
  })
  afterAll(() => four[Symbol.asyncDispose]())

  /** @returns how many of them have been asked for /me since this call. */
  const countAsked = () => {
    const before = four.server.output().length
    return () => {
      const lines = four.server.output().slice(before)
      return new Set([...lines.matchAll(/"pid":(\d+)[^\n]*"route":"\/me"/g)].map(([, pid]) => pid)).size
    }
  }

  /** On a connection of its own, so that all processes get some, from an address with a limit of its own. */
  const askFrom = (localAddress: string, headers: Record<string, string>) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { headers, localAddress, agent: false }
      get(`${four.server.url}/me`, options, (answer) => resolve(answer.resume().statusCode)).on('error', reject)
    })

  test('a limit is one limit for all of them', async () => {
    const { server } = four
    const { tokens } = await signUpOver(server.url, 1)
    const headers = { authorization: `Bearer ${tokens[0]?.accessToken}` }
    const ask = () => askFrom('127.0.0.2', headers)
    const asked = countAsked()
    const answers: (number | undefined)[] = []
    for (let round = 0; round < 5; round++) answers.push(...(await Promise.all(Array.from({ length: 40 }, ask))))
    await expect.poll(asked).toBeGreaterThan(1)
    const those = (wanted: number) => answers.filter((status) => status === wanted)
    expect([those(200).length, those(429).length]).toEqual([80, 120])
  })

  test('a proof of possession is good once, whichever of them it comes to', async () => {
    const { server } = four
    const { email, password } = await signUpOver(server.url, 1)
    const key = createProofKey()
    const login = await postJson(
      `${server.url}/login`,
      { email, password, client_id: 'native' },
      { dpop: key.proof({ method: 'POST', url: `${env.ISSUER}/login` }) },
    )
    const { access_token: accessToken } = (await login.json()) as { access_token: string }
    noteSecret(accessToken)
    const dpop = key.proof({ method: 'GET', url: `${env.ISSUER}/me`, accessToken })
    const headers = { authorization: `DPoP ${accessToken}`, dpop }
    const asked = countAsked()
    const statuses: (number | undefined)[] = []
    // One of them may have taken all of a round.
    for (let round = 1; round <= 20 && asked() < 2; round++) {
      const sent = Array.from({ length: 40 }, () => askFrom(`127.0.1.${round}`, headers))
      statuses.push(...(await Promise.all(sent)))
    }
    expect(asked()).toBeGreaterThan(1)
    expect(statuses.filter((status) => status !== 401)).toEqual([200])
  })

  test('a new signing key is made once, and is used by all', async () => {
    const { server, database } = four
    const kids = async () => {
      const answer = await fetch(`${server.url}/.well-known/jwks.json`, { headers: { connection: 'close' } })
      return ((await answer.json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid).toSorted()
    }
    const seen = async () => new Set((await Promise.all(Array.from({ length: 40 }, kids))).map((all) => all.join(' ')))
    expect([...(await seen())].map((all) => all.split(' ').length)).toEqual([1])
    const { code } = await run(['keys', 'rotate', '--json'], { env: { ...env, DATABASE_URL: database.url } })
    expect(code).toBe(0)
    await expect
      .poll(async () => [...(await seen())].map((all) => all.split(' ').length), { timeout: 15_000 })
      .toEqual([2])
  })

  test('the log is one stream, in which each line says whose it is', async () => {
    const { server } = four
    expect(await server.stop()).toBe(0)
    const lines = server.output().trimEnd().split('\n')
    const pids = new Set(lines.map((line) => (JSON.parse(line) as { pid: number }).pid))
    expect(pids).toContain(server.process.pid)
    expect(pids.size).toBe(5)
  })
})
