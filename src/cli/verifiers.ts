import { listKeys } from '../keys/operator.ts'
import { STATES } from '../revocations/receipts/freshness.ts'
import { findStale, listVerifiers, type Verifier } from '../revocations/receipts/verifiers.ts'
import { isUuid } from '../uuid.ts'
import { count } from './account-view.ts'
import { type Answer, command } from './command.ts'
import { EXIT, refuse } from './exit.ts'
import type { Opened } from './open.ts'
import { AN_ID } from './options.ts'
import { describeReach, findReach, reachToJson } from './reach.ts'
import { tellOfSession } from './story.ts'
import { type Paint, printable, table } from './terminal.ts'
import { relative } from './times.ts'

const verifiers = command({
  name: 'verifiers',
  usage: '[--check] [--session <id>]',
  summary: 'show how fresh the services are that follow the revocation feed',
  details: `Those that report, each instance of a service by itself: what it has applied of the feed, and whether it holds every key that
signs or will sign. One that does not report for 15 seconds is silent, after ten minutes it is taken to be gone, and after a
day it is not listed any more.

  --check          exit code 1 if somebody is not up to date, or nobody reports at all
  --session <id>   whom the end of this session has reached; with --check, exit code 1 if not everybody`,
  takes: [0, 0],
  options: { check: { type: 'boolean' }, session: { type: 'string' } },
  run: async ({ open, paint, width }, _args, { check = false, session }) => {
    if (session !== undefined && !isUuid(session)) refuse(`that is no session: ${AN_ID}`)
    const opened = await open()
    return session === undefined ? await list(opened, check, { paint, width }) : await reach(opened, session, check)
  },
})

/** A key that is published, and that every verifier should hold by the time a token comes that it signed. */
interface Published {
  kid: string
  state: string
}

async function list(opened: Opened, check: boolean, format: { paint: Paint; width: number }): Promise<Answer> {
  const now = opened.clock()
  const { feed, verifiers } = await listVerifiers(opened.db, now)
  const keys = (await listKeys(opened)).filter(({ state }) => state !== 'removed')
  const stale = findStale(verifiers)
  const code = check && (stale.length > 0 || verifiers.length === 0) ? EXIT.failed : EXIT.ok
  const json = {
    feed,
    next_key: keys.find(({ state }) => state === 'next')?.kid ?? null,
    stale: stale.length,
    verifiers: verifiers.map((each) => toJson(each, keys)),
  }
  if (verifiers.length === 0) return { json, code, text: 'No service has reported within a day.' }
  const rows = verifiers.map((each) => [
    printable(each.client),
    printable(each.instance),
    format.paint(COLOURS[each.state], each.state),
    relative(each.reportedAt, now),
    each.epoch === feed.epoch ? `${each.seq} of ${feed.seq}` : '-',
    keysOf(each, keys),
  ])
  const services = new Set(verifiers.map(({ clientId }) => clientId)).size
  const counts = STATES.flatMap((state) => {
    const some = verifiers.filter((each) => each.state === state).length
    return some === 0 ? [] : [`${some} ${state}`]
  })
  const summary = `${count(verifiers.length, 'instance')} of ${count(services, 'service')}: ${counts.join(', ')}.`
  const headings = ['SERVICE', 'INSTANCE', 'STATE', 'REPORTED', 'APPLIED', 'KEYS']
  return { json, code, text: `${table(headings, rows, format)}\n\n${summary}` }
}

async function reach(opened: Opened, typed: string, check: boolean): Promise<Answer> {
  const { id, story, sentence } = await tellOfSession(opened, typed)
  const { state } = story.fate
  const found = await findReach(opened, id, story)
  const json = { session: id, state, ...reachToJson(found) }
  if (state === 'unknown') return { json, text: sentence, code: EXIT.notFound }
  if (state !== 'ended') return { json, text: sentence, code: check && state === 'live' ? EXIT.failed : EXIT.ok }
  const missed = found.entry && found.instances.some((each) => each.state !== 'gone' && each.heard !== true)
  const code = check && missed ? EXIT.failed : EXIT.ok
  return { json, code, text: `${sentence}\n${describeReach(found, opened.clock())}` }
}

const COLOURS = {
  current: 'green',
  behind: 'red',
  other_epoch: 'red',
  ahead: 'red',
  silent: 'yellow',
  gone: 'dim',
} as const satisfies Record<Verifier['state'], Parameters<Paint>[0]>

function keysOf({ kids }: Verifier, published: readonly Published[]): string {
  const lacking = published.filter(({ kid }) => !kids.includes(kid))
  if (lacking.length === 0) return 'all'
  return `lacks ${lacking.map(({ kid, state }) => `${kid.slice(0, 8)}… (${state})`).join(', ')}`
}

function toJson(each: Verifier, published: readonly Published[]) {
  return {
    client_id: each.clientId,
    client: each.client,
    instance: each.instance,
    state: each.state,
    reported_at: each.reportedAt,
    epoch: each.epoch,
    seq: each.seq,
    missed_since: each.missedSince ?? null,
    lacks_keys: published.map(({ kid }) => kid).filter((kid) => !each.kids.includes(kid)),
  }
}

export const verifierCommands = [verifiers]
