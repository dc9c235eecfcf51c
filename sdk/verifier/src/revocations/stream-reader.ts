import { reasonOf, whenAborted } from '../download.ts'
import { type Moment, mayHaveSlept } from './age.ts'
import { backOff } from './back-off.ts'
import { createEventParser, type ServerEvent } from './event-stream.ts'
import { checkId, EVENT_TYPE, LIST_TYPE, readEvent, readStatement } from './messages.ts'
import type { Surroundings } from './surroundings.ts'

/** Heartbeats come every two seconds. Without a new one for so long, the connection is dead, or a proxy holds it back. */
const SILENCE = 6000

export interface StreamReader {
  /** Whether heartbeats come. */
  isStreaming(): boolean
  close(): void
}

interface Options extends Surroundings {
  /** After each event. */
  onHeard(): void
}

/** Keeps a connection to the stream, and makes another when it ends. */
export function createStreamReader(options: Options): StreamReader {
  const { base, issuer, view, open, moment, report, after, timeoutMs, credentials, onHeard } = options
  const url = `${base}/.well-known/revocations/stream`
  let controller = new AbortController()
  let isStreaming = false
  let isClosed = false
  let failures = 0
  let callOff = (): void => {}

  /** Ends the connection unless it is called again in time. */
  const endAfter = (milliseconds: number, reason: string): void => {
    callOff()
    callOff = after(milliseconds, () => controller.abort(new Error(reason)))
  }

  const handle = async ({ type, data, id }: ServerEvent, at: Moment): Promise<void> => {
    if (type === 'revocation') {
      const event = readEvent(await open(data, EVENT_TYPE), issuer)
      checkId(id, event)
      view.event(event)
    } else if (type === 'heartbeat') {
      const statement = readStatement(await open(data, LIST_TYPE), issuer)
      if (id !== undefined) checkId(id, statement)
      // Only what is new keeps the connection. Else replays would, and a replica that has lost its database.
      if (view.heartbeat(statement, at)) {
        endAfter(SILENCE, `no heartbeat came for ${SILENCE / 1000} s`)
        isStreaming = true
        failures = 0
      }
    } else if (type === 'reset') view.reset()
    onHeard()
  }

  const connect = async (): Promise<string | null> => {
    const { signal } = controller
    const askedAt = moment()
    const place = view.place()
    const headers = {
      accept: 'text/event-stream',
      ...(await credentials.forFeed()),
      ...(place && { 'last-event-id': `${place.epoch}.${place.seq}` }),
    }
    signal.throwIfAborted()
    endAfter(timeoutMs, `it did not answer within ${timeoutMs / 1000} s`)
    // Raced, because a `fetch` of the caller's may not heed the signal.
    const response = await Promise.race([
      options.fetch(url, { headers, signal, redirect: 'manual' }),
      whenAborted(signal),
    ])
    const { status, body } = response
    if (status === 401 || status === 429) credentials.refused()
    if (status !== 200 || !body || !/^text\/event-stream\b/i.test(response.headers.get('content-type') ?? '')) {
      void body?.cancel().catch(() => {})
      report('the stream of revocations', new Error(`${url} answered ${status}, and no stream`))
      return response.headers.get('retry-after')
    }
    view.connected()
    endAfter(SILENCE, `no heartbeat came for ${SILENCE / 1000} s`)
    await readAll(body.getReader(), askedAt, signal)
    // Servers that stop end their streams: another one takes over.
    return null
  }

  const readAll = async (
    reader: ReadableStreamDefaultReader<Uint8Array>,
    askedAt: Moment,
    signal: AbortSignal,
  ): Promise<void> => {
    const parse = createEventParser()
    const cancel = (): void => void reader.cancel().catch(() => {})
    // It ends a read that is waited for, too.
    signal.addEventListener('abort', cancel)
    try {
      for (;;) {
        const { done, value } = await reader.read()
        signal.throwIfAborted()
        if (done) return
        const at = moment()
        if (mayHaveSlept(askedAt, at)) throw new Error('this machine slept, or its clock was set')
        for (const event of parse(value)) {
          await handle(event, at)
          signal.throwIfAborted()
        }
      }
    } finally {
      cancel()
    }
  }

  const run = async (): Promise<void> => {
    controller = new AbortController()
    failures++
    let retryAfter: string | null = null
    try {
      retryAfter = await connect()
    } catch (error) {
      if (!isClosed) report('the stream of revocations', new Error(`${url}: ${reasonOf(error)}`, { cause: error }))
    }
    isStreaming = false
    callOff()
    // What is left of the connection, if it is not the connection that ended.
    controller.abort()
    if (!isClosed) callOff = after(backOff(Math.max(1, failures), retryAfter), () => void run())
  }

  void run()
  return {
    isStreaming: () => isStreaming,
    close: () => {
      isClosed = true
      callOff()
      controller.abort(new Error('closed'))
    },
  }
}
