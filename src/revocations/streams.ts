import type { ServerResponse } from 'node:http'
import { SECOND } from '../durations.ts'
import { Problem } from '../errors.ts'
import type { Keyring } from '../keys/keyring.ts'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { type FeedConfig, listClaims } from './documents.ts'
import { formatPosition, type Position, parsePosition } from './entry.ts'
import type { Feed } from './feed.ts'
import { createFrames, type Frame } from './frames.ts'
import { RECENT } from './held.ts'
import { createPlaces, type Listener } from './places.ts'

export interface StreamBounds {
  beatEveryMs: number
  /** Bytes that a reader may leave unread. It gets nothing more until it has taken some. */
  fullBytes: number
  /** A reader that is full for so long is dropped. */
  stuckForMs: number
}

const BOUNDS: StreamBounds = { beatEveryMs: 2 * SECOND, fullBytes: 64 * 1024, stuckForMs: 10 * SECOND }
/** Sent before anything is signed, so that the reader and the proxies in between know at once that this is a stream. */
const OPENING = ': revocations\nretry: 1000\n\n'

/** A reply whose head is sent, and what tells that its reader is gone. */
export interface Opened {
  reply: ServerResponse
  onGone: (act: () => void) => void
}

interface Reader {
  reply: ServerResponse
  /** What it has. Undefined if it is to begin at the present. */
  position: Position | undefined
  greeted: boolean
  /** Since when it has taken nothing although it is full. */
  stuckSince: number | undefined
  leave: () => void
}

export interface Streams {
  /**
   * @param open sends the head of the reply; undefined if the reader has gone.
   * @param lastEventId as the reader sent it.
   * @throws Problem `unavailable` if there is no room.
   */
  join(listener: Listener, lastEventId: string | undefined, open: () => Opened | undefined): Promise<void>
  /** Ends all, and admits no others: their readers go elsewhere. */
  end(): void
}

type StreamDeps = { config: FeedConfig; keyring: Keyring; log: Log; metrics: Pick<Metrics, 'revocationStreams'> }

/**
 * Server-sent events (HTML standard §9.2). One loop brings every reader forward from where it is, so that each has everything in
 * order, whether it is new, has come back, or was too slow for a while. What is sent is signed once for all of them.
 */
export function createStreams(deps: StreamDeps, feed: Feed, bounds: StreamBounds = BOUNDS): Streams {
  const { held } = feed
  const places = createPlaces()
  const readers = new Set<Reader>()
  const frames = createFrames(deps, held)
  let beat: { frame: Frame; asOf: Date } | undefined
  let beatDue = false
  let ended = false

  /** The heartbeat for those who have had none, and whether it is due for all. A view that has not moved has no new one. */
  const pulse = async (position: Position, asOf: Date): Promise<{ frame: Frame | undefined; forAll: boolean }> => {
    const forAll = beatDue && asOf.getTime() !== beat?.asOf.getTime()
    const isCurrent = beat && formatPosition(beat.frame.position) === formatPosition(position)
    const isWanted = [...readers].some(({ greeted }) => !greeted)
    if (forAll || (isWanted && !isCurrent)) {
      if (forAll) beatDue = false
      const data = await deps.keyring.signBytes(
        'revocations+jwt',
        listClaims(deps.config, held, { revocations: [], after: position.seq }),
      )
      beat = { frame: frames.heartbeat(position, data.toString('latin1')), asOf }
    }
    return { frame: beat?.frame, forAll }
  }

  const pass = async (): Promise<void> => {
    const to = held.position()
    const asOf = held.asOf()
    if (!asOf || !deps.keyring.ready()) return
    const present = [...readers]
    const behind = present.flatMap(({ position: at }) => (at && isReachable(at, to) ? [at.seq] : []))
    const [due, { frame, forAll }] = await Promise.all([frames.after(Math.min(to.seq, ...behind)), pulse(to, asOf)])
    for (const reader of present) {
      if (isStuck(reader) || !bringForward(reader, to, due)) continue
      if (frame && (forAll || !reader.greeted)) reader.reply.write(frame.bytes)
      reader.greeted = true
    }
  }

  const kick = oneAtATime(async () => {
    if (readers.size > 0) await pass()
  }, deps.log)

  /** Whether it can be sent nothing. */
  const isStuck = (reader: Reader): boolean => {
    const { reply } = reader
    if (reply.destroyed || reply.writableEnded) return true
    const now = performance.now()
    if (reply.writableLength <= bounds.fullBytes) {
      reader.stuckSince = undefined
      return false
    }
    reader.stuckSince ??= now
    if (now - reader.stuckSince > bounds.stuckForMs) {
      reply.destroy()
      reader.leave()
    }
    return true
  }

  /** @returns whether it has everything now. */
  const bringForward = (reader: Reader, to: Position, due: readonly Frame[]): boolean => {
    const { reply } = reader
    const at = (reader.position ??= to)
    if (!isReachable(at, to)) {
      reply.write(frames.reset(to))
      reader.position = to
      return true
    }
    reply.cork()
    for (const { position, bytes } of due) {
      if (position.seq <= at.seq) continue
      if (reply.writableLength > bounds.fullBytes) break
      reply.write(bytes)
      reader.position = position
    }
    reply.uncork()
    const last = due.at(-1)?.position.seq ?? at.seq
    if (last > reader.position.seq && last > at.seq) return false
    reader.position = to
    return true
  }

  const beating = setInterval(() => {
    if (readers.size === 0) return
    feed.use()
    beatDue = true
    kick()
  }, bounds.beatEveryMs).unref()
  feed.onLook(kick)

  return {
    join: async (listener, lastEventId, open) => {
      if (ended) throw new Problem('unavailable', { reason: 'stopping', retryAfter: 1 })
      const giveBack = places.take(listener)
      if (!giveBack) throw new Problem('unavailable', { reason: 'too many streams', retryAfter: 10 })
      let opened: Opened | undefined
      try {
        // A reader that comes from another replica could else be ahead of this one by a moment, and had to begin anew.
        await feed.renew()
        opened = open()
      } finally {
        if (!opened) giveBack()
      }
      if (!opened) return
      const position = lastEventId === undefined ? undefined : (parsePosition(lastEventId) ?? NOWHERE)
      const leave = () => {
        if (!readers.delete(reader)) return
        deps.metrics.revocationStreams.dec()
        giveBack()
      }
      const reader: Reader = { reply: opened.reply, position, greeted: false, stuckSince: undefined, leave }
      readers.add(reader)
      deps.metrics.revocationStreams.inc()
      opened.onGone(leave)
      reader.reply.write(OPENING)
      if (ended) reader.reply.end()
      kick()
    },
    end: () => {
      ended = true
      clearInterval(beating)
      for (const { reply } of readers) reply.end()
    },
  }
}

/** No epoch is called so. */
const NOWHERE: Position = { epoch: '', seq: 0 }

/** Whether the newest revocations lead from one position to another. */
function isReachable(at: Position, to: Position): boolean {
  return at.epoch === to.epoch && at.seq <= to.seq && to.seq - at.seq <= RECENT
}

/** Runs the work when asked, once more if asked meanwhile. A failure is logged, and the work waits to be asked again. */
function oneAtATime(work: () => Promise<void>, log: Log): () => void {
  let running = false
  let again = false
  let failing = false
  const run = async (): Promise<void> => {
    while (again) {
      again = false
      try {
        await work()
        failing = false
      } catch (error) {
        if (!failing) log.error({ err: error }, 'the streams of revocations stand still; they are tried again at once')
        failing = true
      }
    }
    running = false
  }
  return () => {
    again = true
    if (running) return
    running = true
    void run()
  }
}
