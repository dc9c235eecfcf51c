import { exchange, refuseUnless } from '../download.ts'
import { mayHaveSlept } from './age.ts'
import { backOff } from './back-off.ts'
import { LIST_TYPE, readStatement, type Statement } from './messages.ts'
import type { Place } from './position.ts'
import type { Surroundings } from './surroundings.ts'

/** A list of an hour with a hundred revocations a second has some 50 MB. */
export const MAX_LIST = 64 * 1024 * 1024
/** Milliseconds between two readings, whatever the stream says: a reset is not signed. */
const PAUSE = 250

export interface ListReader {
  /** Resolves once the list has been read, or could not be. */
  readonly first: Promise<void>
  /** Something was heard: reads the list at once if something is missing. */
  check(): void
  close(): void
}

interface Options extends Surroundings {
  /** How often to read it while there is no stream, in milliseconds. */
  every(): number
  isStreaming(): boolean
}

/** Reads the list at the start, wherever the stream has left something out, and regularly while there is no stream. */
export function createListReader(options: Options): ListReader {
  const { base, issuer, open, view, moment, report, after, every, isStreaming, fetch, timeoutMs } = options
  const url = `${base}/.well-known/revocations`
  // A long list takes longer than other answers.
  const limits = { fetch, timeoutMs: 2 * timeoutMs, maxBytes: MAX_LIST }
  let failures = 0
  let isReading = false
  /** Until the next reading. During a pause, nothing hastens it. */
  let waiting: { isPause: boolean; callOff: () => void } | undefined
  let isClosed = false
  let settle = (): void => {}
  const first = new Promise<void>((resolve) => (settle = resolve))

  const readPage = async (since: Place | undefined): Promise<Statement> => {
    const at = since ? `${url}?since=${since.epoch}.${since.seq}` : url
    const askedAt = moment()
    const answer = await exchange(at, {}, limits)
    // Not later: what follows may have to wait for a key.
    const arrivedAt = moment()
    if (mayHaveSlept(askedAt, arrivedAt)) throw new Error('this machine slept, or its clock was set')
    refuseUnless(200, at, answer)
    const page = readStatement(await open(answer.text.trim(), LIST_TYPE), issuer)
    return view.page(page, since, arrivedAt) === 'more' ? await readPage(view.since()) : page
  }

  const read = async (): Promise<void> => {
    waiting?.callOff()
    waiting = undefined
    isReading = true
    let pause = PAUSE
    try {
      const { ttl } = await readPage(view.since())
      failures = 0
      // What was read is behind what was heard, as it was signed a moment ago, or comes from a cache: it will be there soon.
      if (view.isBehind()) pause = (ttl * 1000) / 2
    } catch (error) {
      pause = Math.max(PAUSE, backOff(++failures))
      report('the list of revocations', error)
    }
    isReading = false
    settle()
    wait(true, pause)
  }

  const wait = (isPause: boolean, milliseconds: number): void => {
    if (isClosed) return
    const callOff = after(milliseconds, () => {
      waiting = undefined
      if (view.isBehind() || failures > 0 || (!isPause && !isStreaming())) void read()
      else wait(false, every())
    })
    waiting = { isPause, callOff }
  }

  void read()
  return {
    first,
    check: () => {
      if (!isClosed && !isReading && !waiting?.isPause && view.isBehind()) void read()
    },
    close: () => {
      isClosed = true
      waiting?.callOff()
      settle()
    },
  }
}
