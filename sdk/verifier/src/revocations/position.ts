import type { SecurityEvent, Statement } from './messages.ts'

/** Everything of `epoch` up to `seq` is held. */
export interface Place {
  epoch: string
  seq: number
}

export interface Position {
  /** undefined: nothing is held, or it is not known any more what. */
  held(): Place | undefined
  /** Of the newest statement: the one that counts. */
  epoch(): string | undefined
  /** Another connection: what comes over it need not follow on what came over the last one. */
  connected(): void
  /** The stream does not go on where this reader was. */
  reset(): void
  /** @returns whether it is newer than all before. Another may be a replay, or of a replica that lags behind. */
  statement(statement: Statement): boolean
  /** Whether nothing is missing of what it speaks of. */
  isLevelWith(statement: Statement): boolean
  /** @throws Error if the event is of another epoch. */
  event(event: SecurityEvent): void
  /** What to ask for: all after this; undefined: everything. */
  since(): Place | undefined
  /**
   * @param since what was asked for.
   * @returns `more`: ask again. `done`: everything up to the page's `seq` is held. `old`: of no use.
   * @throws Error if something may be missing between what was asked for and where the page begins.
   */
  page(page: Statement, since: Place | undefined): 'more' | 'done' | 'old'
  /** Whether something is missing, so that the list is to be read. */
  isBehind(): boolean
}

/** Keeps account of up to where the feed is held. That is for gaps only: what was revoked is applied whenever it comes. */
export function createPosition(): Position {
  let held: Place | undefined
  let newest: Statement | undefined
  /** Events without a gap that came over this connection. They count once nothing is missing before them. */
  let run: { epoch: string; from: number; to: number } | undefined
  let isReset = false

  const note = (statement: Statement): boolean => {
    const { epoch, seq, iat } = statement
    if (newest && iat <= newest.iat) {
      if (iat === newest.iat && epoch === newest.epoch && seq > newest.seq) newest = statement
      return false
    }
    // Numbers never go back within an epoch. If they do, what is held of it stands for something else.
    if (newest?.epoch === epoch && seq < newest.seq) held = undefined
    newest = statement
    return true
  }

  const join = (): void => {
    if (run && held && run.epoch === held.epoch && run.from <= held.seq + 1 && run.to > held.seq) {
      held = { epoch: held.epoch, seq: run.to }
    }
  }

  return {
    held: () => held,
    epoch: () => newest?.epoch,
    connected: () => {
      run = undefined
    },
    reset: () => {
      run = undefined
      isReset = true
    },
    statement: note,
    isLevelWith: ({ epoch, seq }) => epoch === newest?.epoch && epoch === held?.epoch && seq <= held.seq,
    event: ({ epoch, seq }) => {
      if (newest && epoch !== newest.epoch && !isReset) throw new Error('the event is of another epoch')
      if (epoch === held?.epoch && seq <= held.seq) return
      if (run?.epoch === epoch && seq >= run.from && seq <= run.to + 1) run.to = Math.max(run.to, seq)
      else run = { epoch, from: seq, to: seq }
      join()
    },
    since: () => (held && held.epoch === newest?.epoch ? held : undefined),
    page: (page, since) => {
      const from = since?.epoch === page.epoch ? since.seq : 0
      // Heartbeats and all parts are signed as well: only what begins where this reader is can be an answer to it.
      if (page.after > from) throw new Error(`it leaves out what came after ${from}: it begins after ${page.after}`)
      note(page)
      if (page.epoch !== newest?.epoch || (since && !held)) return 'old'
      const last = page.entries.reduce((highest, { seq }) => Math.max(highest, seq), 0)
      // Else there may be another part, whatever was asked for: the first one begins where the whole list does.
      const isAll = page.entries.length === 0 || last === page.seq
      if (!isAll && last <= from) return 'old'
      held = { epoch: page.epoch, seq: Math.max(held?.epoch === page.epoch ? held.seq : 0, isAll ? page.seq : last) }
      if (!isAll) return 'more'
      isReset = false
      join()
      return 'done'
    },
    isBehind: () =>
      !held ||
      isReset ||
      (newest !== undefined && (held.epoch !== newest.epoch || held.seq < newest.seq)) ||
      (run !== undefined && run.epoch === held.epoch && run.to > held.seq),
  }
}
