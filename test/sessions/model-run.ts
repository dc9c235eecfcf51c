import { randomUUID } from 'node:crypto'
import { connect as connectSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { expect, vi } from 'vitest'
import type { Schema } from '../../src/db/schema.ts'
import { hashToken } from '../../src/tokens/refresh.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { createProofKey } from '../support/dpop.ts'
import type { Forwarder } from '../support/forwarder.ts'
import { sidOf } from '../support/jwt.ts'
import { type Hold, holdConnections, holdCounters, holdRow } from './holds.ts'
import { keyHolder } from './key-holder.ts'
import { type Expected, Model, type ModelFamily, type ModelPolicy, type Proof } from './model.ts'
import type { Step, Waits } from './model-steps.ts'

/** What all schedules of one policy share. */
export interface World {
  t: TestApp
  /** Every server so far, to be ended. */
  started: TestApp[]
  policy: ModelPolicy & { keyed: boolean; limited: boolean }
  user: { email: string; userId: string }
  password: string
  /** Between the servers and the database. */
  line: Forwarder
  /** Past that line. */
  direct: Kysely<Schema>
  /** @returns the address of a real port. */
  listen: (t: TestApp) => Promise<string>
  steps: number
  /** Refreshes of a client that nothing excuses: each had to succeed. */
  promised: number
}

/** Of an answer: a token, or in how many seconds to come back. */
interface Heard {
  token?: string
  later?: number
}

/** What the honest client holds. */
interface Client {
  token: string
  /** Of an attempt whose answer is not in. */
  key: string | undefined
  /** Until when it must come back, if it has no key. */
  until: number
}

const fresh = (token: string): Client => ({ token, key: undefined, until: Number.POSITIVE_INFINITY })

/** One family, its honest client, a thief, and the model of what the server must do. */
export class Run {
  readonly world: World
  readonly keys = { own: createProofKey(), other: createProofKey() }
  model!: Model
  client!: Client
  sid = ''
  accessToken = ''
  sent: { token: string; key: string | undefined }[] = []
  stolen: string | undefined
  checkpoint: { family: ModelFamily; row: Record<string, unknown> } | undefined
  /** Something happened after which the client may rightly lose its session. */
  excused = false

  constructor(world: World) {
    this.world = world
  }

  get t(): TestApp {
    return this.world.t
  }

  get policy(): World['policy'] {
    return this.world.policy
  }

  get now(): number {
    return this.t.deps.clock().getTime() / 1000
  }

  /** What the honest client proves with each request. */
  get proves(): Proof {
    return ({ no: 'none', proofs: 'own', nonces: 'fresh' } as const)[this.policy.bound]
  }

  headers(proof: Proof, path = '/refresh'): Record<string, string> {
    if (proof === 'none') return {}
    const holder = keyHolder(this.t, proof === 'other' ? this.keys.other : this.keys.own)
    return proof === 'fresh' ? holder.freshProof(path) : holder.proof(path)
  }

  /** Sends a refresh, and judges nothing. */
  send(token: string, key: string | undefined, proof: Proof = this.proves): ReturnType<TestApp['refresh']> {
    return this.t.refresh(token, { headers: this.headers(proof), ...(key === undefined ? {} : { key }) })
  }

  async start(): Promise<void> {
    const { user, password } = this.world
    const { dpop } = this.headers(this.proves === 'none' ? 'none' : 'own', '/login')
    const reply = (await this.t.login({ email: user.email, password }, dpop === undefined ? {} : { dpop })).json()
    this.model = new Model(this.policy, reply.refresh_token, await this.rotatedAt(reply.access_token))
    this.client = fresh(reply.refresh_token)
    this.accessToken = reply.access_token
    this.excused = false
    this.checkpoint = undefined
    this.stolen = undefined
    this.sent = []
  }

  async rotatedAt(accessToken?: string): Promise<number> {
    if (accessToken) this.sid = sidOf(accessToken)
    return ((await this.row()).rotated_at as Date).getTime() / 1000
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'refresh':
        await this.refresh(step.lost)
        break
      case 'slow refresh':
        await this.slowRefresh(step.where, step.seconds, step.lost)
        break
      case 'refresh of unknown fate':
        await this.refreshOfUnknownFate(step.seconds)
        break
      case 'hang up':
        await this.hangUp(step.where)
        break
      case 'brown-out':
        if (step.lost) await this.refresh('reply')
        await this.brownOut(step.pauses)
        break
      case 'tabs':
        await this.tabs(step.count, step.sameKey)
        break
      case 'overtaken':
        await this.overtaken()
        break
      case 'wait':
        this.wait(step.seconds)
        break
      case 'steal':
        this.stolen = this.client.token
        break
      case 'thief':
        if (this.stolen) {
          const proof = ({ nothing: 'none', 'another key': 'other', 'the key': 'fresh' } as const)[step.holds]
          // Without the key, the thief can do nothing to a family that is bound.
          if (this.policy.bound === 'no' || proof === 'fresh') this.excused = true
          const { token } = await this.present(this.stolen, step.keyed ? randomUUID() : undefined, proof)
          if (token) this.stolen = token
        }
        break
      case 'straggler': {
        const old = this.sent.at(-1 - step.back)
        if (!old) break
        if (old.token !== this.client.token) this.excused = true
        await this.present(old.token, old.key)
        break
      }
      case 'logout':
        this.excused = true
        await this.logout()
        this.model.end()
        break
      case 'logout during refresh':
        this.excused = true
        await Promise.all([this.send(this.client.token, randomUUID()), this.logout()])
        this.model.end()
        break
      case 'password':
        await this.changePassword()
        break
      case 'crash':
        await this.crash()
        break
      case 'host clock jumps': {
        const real = Date.now.bind(Date)
        vi.restoreAllMocks()
        vi.spyOn(Date, 'now').mockImplementation(() => real() + step.hours * 3_600_000)
        break
      }
      case 'checkpoint':
        this.checkpoint = { family: { ...this.model.family }, row: await this.row() }
        break
      case 'rollback':
        await this.rollback()
        break
      case 'garbage':
        await this.garbage(step.at)
        break
    }
    await this.compareWithDatabase()
    // What ended stays ended: a new sign-in gives the rest of the schedule something to work on.
    if (!this.model.usable(this.now)) {
      await this.nothingLivesAfterAnEnd()
      await this.start()
    }
  }

  /** A little longer than in whole seconds, as the rules count: what ends in the very same millisecond is nobody's to say. */
  wait(seconds: number): void {
    this.t.travel(seconds + 0.037)
  }

  /** Without an Idempotency-Key or a current nonce, a client that comes back too late does so at its own risk. */
  async prepare(): Promise<void> {
    const { client, policy } = this
    if (policy.keyed) client.key ??= randomUUID()
    else if (policy.lateRetry === 'revoke' && policy.bound !== 'nonces' && this.now > client.until) this.excused = true
  }

  async refresh(lost: 'nothing' | 'reply' | 'request'): Promise<void> {
    await this.prepare()
    if (lost === 'request') return
    const { client } = this
    const live = this.model.usable(this.now)
    this.sent.push({ token: client.token, key: client.key })
    let heard = await this.present(client.token, client.key)
    // It does as it is told, however often.
    for (let i = 0; heard.later !== undefined && i < 100; i++) {
      this.t.travel(heard.later)
      heard = await this.present(client.token, client.key)
    }
    this.keep(heard, live, lost === 'reply')
  }

  /** What the client makes of an answer. */
  keep({ token, later }: Heard, promise: boolean, lost: boolean): void {
    if (promise && !this.excused) {
      expect(token, 'an honest client was refused').toBeDefined()
      this.world.promised++
    }
    if (later !== undefined) throw new Error('an honest client was put off for ever')
    if (token && !lost) this.client = fresh(token)
  }

  async slowRefresh(where: Waits, seconds: number, lost: boolean): Promise<void> {
    await this.prepare()
    const { client, world } = this
    const live = this.model.usable(this.now, this.now + seconds)
    this.sent.push({ token: client.token, key: client.key })
    const held = await this.hold(where)
    const asked = this.present(client.token, client.key)
    await sleep(25)
    this.wait(seconds)
    await held.release()
    let heard = await asked
    for (let i = 0; heard.later !== undefined && world.policy.limited && i < 100; i++) {
      this.t.travel(heard.later)
      heard = await this.present(client.token, client.key)
    }
    this.keep(heard, live, lost)
  }

  async hold(where: Waits): Promise<Hold> {
    const { direct, line } = this.world
    if (where === 'row') return await holdRow(direct, this.sid)
    if (where === 'connection') return await holdConnections(this.t)
    if (where === 'counters') return await holdCounters(direct, 'refresh_per_minute')
    line.pause('toClient')
    return { release: async () => line.resume('toClient') }
  }

  async refreshOfUnknownFate(seconds: number): Promise<void> {
    await this.prepare()
    const { client, world } = this
    this.sent.push({ token: client.token, key: client.key })
    const before = await this.row()
    const arrived = this.now
    world.line.pause('toClient')
    const asked = this.send(client.token, client.key)
    await sleep(25)
    this.wait(seconds)
    const { rows } = await sql<{ at: Date }>`SELECT clock_timestamp() AS at`.execute(world.direct)
    world.line.cut()
    const reply = await asked
    world.line.resume('toClient')
    expect(reply.statusCode).toBe(503)
    // What PostgreSQL has read it carries out, however late, also when nobody is there for the answer.
    await expect.poll(() => this.connectionsUntil(rows[0]?.at as Date), { timeout: 10_000 }).toBe(0)
    const after = await this.row()
    if (after.generation !== before.generation) {
      expect((after.previous_hash as Buffer).equals(hashToken(client.token))).toBe(true)
      this.model.rotatedUnheard(client.token, Number(after.generation), client.key, await this.rotatedAt())
    }
    this.putOff(client.token, arrived, Number(reply.headers['retry-after']))
  }

  /** Connections of the servers, which all go over the line, that were opened until then. */
  async connectionsUntil(time: Date): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'claviger' AND backend_start <= ${time}`.execute(
      this.world.direct,
    )
    return rows[0]?.count ?? 0
  }

  /** Whether the statement of the hot path has been carried out since then. */
  async rotationsDone(since: Date): Promise<number> {
    const { rows } = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'claviger' AND state = 'idle'
        AND query_start > ${since} AND query LIKE '%WITH a (family, generation,%'`.execute(this.world.direct)
    return rows[0]?.count ?? 0
  }

  async brownOut(pauses: number[]): Promise<void> {
    const { line, direct } = this.world
    const { port } = new URL(this.t.databaseUrl)
    await this.prepare()
    line.lead(undefined)
    line.cut()
    for (const pause of pauses) {
      const { client } = this
      const arrived = this.now
      const reply = await this.send(client.token, client.key)
      expect(reply.statusCode).toBe(503)
      this.putOff(client.token, arrived, Number(reply.headers['retry-after']))
      this.wait(this.policy.grace > 0 ? Math.min(pause, this.policy.grace) : pause)
    }
    line.lead(Number(port))
    await sql`SELECT 1`.execute(direct)
  }

  async hangUp(where: 'row' | 'connection'): Promise<void> {
    const { t, client } = this
    // A retry makes no token, so there is nothing that must not be made.
    if (client.token !== this.model.family.current) return
    const held = await this.hold(where)
    const url = new URL(await this.world.listen(t))
    const body = JSON.stringify({ refresh_token: client.token })
    const socket = connectSocket(Number(url.port), url.hostname)
    const head = ['POST /refresh HTTP/1.1', `Host: ${new URL(t.config.ISSUER).host}`, 'Content-Type: application/json']
    const key = this.policy.keyed ? [`Idempotency-Key: ${(client.key ??= randomUUID())}`] : []
    const proof = Object.entries(this.headers(this.proves)).map(([name, value]) => `${name}: ${value}`)
    const { rows } = await sql<{ at: Date }>`SELECT clock_timestamp() AS at`.execute(this.world.direct)
    socket.write(`${[...head, ...key, ...proof, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body}`)
    // What PostgreSQL has been sent it carries out, also if it gets to it when the client is gone and the row is free.
    let answered = false
    socket.once('data', () => (answered = true))
    if (where === 'connection') await sleep(40)
    // Over a limit there is no such statement, but an answer or a wait.
    else
      for (let n = 0; n < 100 && !answered && (await this.rotationsDone(rows[0]?.at as Date)) === 0; n++)
        await sleep(10)
    socket.destroy()
    await sleep(15)
    await held.release()
    // A retry changes nothing that the model knows of; whatever was under way is over when this one is answered.
    await t.refresh(`${client.token.slice(0, -1)}${client.token.endsWith('A') ? 'B' : 'A'}`)
    await sleep(30)
  }

  /** It was told to come back. */
  putOff(token: string, arrived: number, retryAfter: number, limit = false): void {
    expect(retryAfter).toBeGreaterThanOrEqual(1)
    this.model.defer(token, arrived, this.now, { retryAfter, limit })
    if (token === this.client.token) this.client.until = this.now + retryAfter + this.policy.grace - 0.5
  }

  /** Presents a token and checks the reply against the model. */
  async present(token: string, key: string | undefined, proof = this.proves): Promise<Heard> {
    const arrived = this.now
    let answeredAt = arrived
    const reply = await this.send(token, key, proof).then((answer) => {
      answeredAt = this.now
      return answer
    })
    if (reply.statusCode === 429 && this.policy.limited) {
      const later = Number(reply.headers['retry-after'])
      const isRetry = token === this.model.family.previous && this.model.usable(arrived)
      if (isRetry) expect(later, 'no limit on rotations holds up a retry').toBe(1)
      // Of the current token nothing is used up, so nothing is owed for it.
      if (isRetry) this.putOff(token, arrived, later, true)
      return { later }
    }
    const expected = this.model.present(token, key, proof, { arrived, now: answeredAt })
    const isOwn = token === this.client.token
    const received = await this.check(expected, reply.statusCode, reply.json())
    if (received === undefined) return {}
    const isRetry = expected.reply === 'same'
    const { usedAt } = this.model.family
    if (!isRetry) {
      expect(usedAt, 'the grace begins with the answer').toBeGreaterThanOrEqual(answeredAt - 1.1)
    }
    const owed = this.model.settle(token, arrived, answeredAt, isRetry)
    const end = usedAt + this.policy.grace
    if (isOwn) this.client.until = Math.max(owed ?? Number.NEGATIVE_INFINITY, end) - 0.5
    return { token: received }
  }

  async check(
    expected: Expected,
    status: number,
    body: { refresh_token?: string; code?: string },
  ): Promise<string | undefined> {
    if (expected.reply === 'no') {
      expect([status, body.code]).toEqual([401, 'invalid_grant'])
      return undefined
    }
    if (expected.reply === 'unproved') {
      expect([status, body.code]).toEqual([400, 'invalid_dpop_proof'])
      return undefined
    }
    expect(status).toBe(200)
    const token = body.refresh_token as string
    if (expected.reply === 'same') {
      if (expected.token === undefined) this.model.hear(token)
      else expect(token).toBe(expected.token)
    } else {
      expect(this.model.generationOf.has(token), 'a successor must be new').toBe(false)
      expected.becomes(token)
      // The instant that counts is the server's.
      this.model.family.usedAt = await this.rotatedAt()
    }
    return token
  }

  /** Requests with one token at the same time must be answered as if they had come one after the other. */
  async tabs(count: number, sameKey: boolean): Promise<void> {
    const { client } = this
    if (this.policy.keyed) client.key ??= randomUUID()
    const keys = Array.from({ length: count }, () =>
      this.policy.keyed ? (sameKey ? client.key : randomUUID()) : undefined,
    )
    const tolerant = this.policy.grace > 0 || (sameKey && this.policy.keyed)
    // A retry that finds the token already rotated under another key, or out of time, is the client's own doing.
    if (!tolerant || client.token !== this.model.family.current) this.excused = true
    const replies = await Promise.all(keys.map((key) => this.send(client.token, key)))
    const tokens = new Set(
      replies.filter((reply) => reply.statusCode === 200).map((reply) => reply.json().refresh_token as string),
    )
    expect(tokens.size, 'at most one live successor').toBeLessThanOrEqual(1)
    expect(replies.every((reply) => reply.statusCode === 200 || reply.statusCode === 401)).toBe(true)
    await this.adopt(tokens.values().next().value, keys)
    const [token] = tokens
    if (token && this.model.family.live) this.client = fresh(token)
  }

  /** Two tabs send one token, and the answer to the first is used before the second is judged. */
  async overtaken(): Promise<void> {
    const { policy, proves } = this
    await this.refresh('reply')
    const { token, key } = this.client
    const { live, previous, current } = this.model.family
    if (!live || token !== previous || current === undefined) return
    const held = await holdConnections(this.t, { rotations: 0 })
    const asked = this.send(token, key)
    await sleep(25)
    this.client = fresh(current)
    await this.refresh('nothing')
    await held.release()
    const { statusCode } = await asked
    // Without a grace or a key there are no retries: whoever comes second is a thief.
    const mayRetry = policy.grace > 0 || policy.lateRetry === 'recover' || key !== undefined || proves === 'fresh'
    expect(statusCode).toBe(mayRetry ? 429 : 401)
    if (!mayRetry) {
      this.excused = true
      this.model.end()
    }
  }

  /** Brings the model to what some order of equal requests leads to: the order itself is the database's to choose. */
  async adopt(token: string | undefined, keys: (string | undefined)[]): Promise<void> {
    const row = await this.row()
    const rotatedWith = row.rotation_key_hash as Buffer | null
    const first = keys.find((key) => key !== undefined && rotatedWith?.equals(hashToken(key))) ?? keys[0]
    for (const key of [
      first,
      ...keys.filter((each) => each !== first),
      ...keys.filter((each) => each === first).slice(1),
    ]) {
      const expected = this.model.present(this.client.token, key, this.proves, { arrived: this.now, now: this.now })
      if (expected.reply === 'no' || expected.reply === 'unproved') continue
      expect(token).toBeDefined()
      if (expected.reply === 'new') {
        expected.becomes(token as string)
        this.model.family.usedAt = await this.rotatedAt()
      } else this.model.hear(token as string)
      this.model.settle(this.client.token, this.now, this.now, expected.reply === 'same')
    }
  }

  async logout(): Promise<void> {
    const answer = await this.t.inject({
      method: 'POST',
      url: '/logout',
      headers: { 'content-type': 'application/json' },
      payload: JSON.stringify({ refresh_token: this.client.token }),
    })
    expect(answer.statusCode).toBe(204)
  }

  /** From another session: this one must end. */
  async changePassword(): Promise<void> {
    const { user, password } = this.world
    const other = (await this.t.login({ email: user.email, password })).json()
    const next = `a new phrase ${randomUUID()}`
    const answer = await this.t.inject({
      method: 'POST',
      url: '/password',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${other.access_token}` },
      payload: JSON.stringify({ current_password: password, new_password: next }),
    })
    expect(answer.statusCode).toBe(204)
    this.world.password = next
    this.excused = true
    this.model.end()
  }

  async crash(): Promise<void> {
    await this.prepare()
    const { world, client } = this
    this.sent.push({ token: client.token, key: client.key })
    // Nobody hears the answer, but the commit is there: the client will ask again.
    const [, next] = await Promise.all([
      this.present(client.token, client.key),
      createTestApp({ join: world.t, line: world.line }),
    ])
    world.t = next
    world.started.push(next)
    // What the one that died had promised, the next one does not know of.
    this.model.forgetDebts()
    client.until = Math.min(client.until, this.model.family.usedAt + this.policy.grace - 0.5)
  }

  async rollback(): Promise<void> {
    if (!this.checkpoint) return
    const { row, family } = this.checkpoint
    await this.world.direct
      .updateTable('families')
      .set({ ...row, id: undefined } as never)
      .where('id', '=', this.sid)
      .execute()
    // A successor of which nobody had heard at the checkpoint may have been heard of since.
    const current = [...this.model.generationOf.keys()].find((token) =>
      (row.current_hash as Buffer).equals(hashToken(token)),
    )
    this.model.family = { ...family, current }
    if (this.policy.rollForward === 'off') this.excused = true
  }

  async garbage(at: number): Promise<void> {
    const { token } = this.client
    const forged = `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
    const reply = await this.send(forged, undefined)
    expect(reply.statusCode).toBe(401)
  }

  async row(): Promise<Record<string, unknown>> {
    return await this.world.direct
      .selectFrom('families')
      .selectAll()
      .where('id', '=', this.sid)
      .executeTakeFirstOrThrow()
  }

  async compareWithDatabase(): Promise<void> {
    const row = await this.row()
    expect(row.ended_at === null, 'the family lives exactly as long as the model says').toBe(this.model.family.live)
    if (!this.model.family.live) return
    expect(row.generation).toBe(this.model.family.generation)
    const { current } = this.model.family
    if (current !== undefined) expect((row.current_hash as Buffer).equals(hashToken(current))).toBe(true)
  }

  /** As the client sends its access token. */
  bearer(): Record<string, string> {
    const { accessToken } = this
    if (this.policy.bound === 'no') return { authorization: `Bearer ${accessToken}` }
    const proof = keyHolder(this.t, this.keys.own).freshProof('/me', { method: 'GET', accessToken })
    return { authorization: `DPoP ${accessToken}`, ...proof }
  }

  async nothingLivesAfterAnEnd(): Promise<void> {
    for (const token of this.model.generationOf.keys()) {
      let answer = await this.t.refresh(token, { key: randomUUID() })
      while (answer.statusCode === 429 && this.policy.limited) {
        this.t.travel(Number(answer.headers['retry-after']))
        answer = await this.t.refresh(token, { key: randomUUID() })
      }
      expect(answer.statusCode).toBe(401)
    }
    const me = await this.t.inject({
      method: 'GET',
      url: '/me',
      headers: this.bearer(),
    })
    expect(me.statusCode).toBe(401)
    const { rows } = await sql<{
      live: boolean
    }>`SELECT ended_at IS NULL AS live FROM families WHERE id = ${this.sid}`.execute(this.world.direct)
    if (!this.model.family.live) expect(rows[0]?.live).toBe(false)
  }
}
