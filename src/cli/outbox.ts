import { listDeliveries, type Queued, retryDeliveries, retryDelivery } from '../outbox/operator.ts'
import { isUuid } from '../uuid.ts'
import { command } from './command.ts'
import { EXIT, refuse } from './exit.ts'
import { AN_ID, limitOf } from './options.ts'
import { type Paint, printable, table } from './terminal.ts'
import { relative } from './times.ts'

const list = command({
  name: 'outbox list',
  usage: '[--dead] [--limit N]',
  summary: 'list mails and other deliveries that wait, or were given up',
  details: `Those that wait come first, the longest first. What they carry, and for whom, is sealed and not shown. What has been
delivered is not kept.

  --dead      only those that were given up, the last first. They are kept for 30 days
  --limit N   at most so many (1 to 1000, default 50)`,
  takes: [0, 0],
  options: { dead: { type: 'boolean' }, limit: { type: 'string' } },
  run: async ({ open, paint, width }, _args, { dead = false, ...values }) => {
    const limit = limitOf(values.limit)
    const { db, clock } = await open()
    const { deliveries, more } = await listDeliveries(db, { dead, limit })
    const now = clock()
    const rows = deliveries.map((each) => [
      each.id,
      printable(each.kind),
      relative(each.enqueuedAt, now),
      String(each.attempts),
      stateOf(each, now, paint),
      printable(each.lastFailure ?? '-'),
    ])
    const note = more ? `\n\n${paint('dim', `There are more than these ${limit}.`)}` : ''
    const text =
      rows.length === 0
        ? `Nothing ${dead ? 'was given up' : 'waits to be delivered'}.`
        : table(['ID', 'KIND', 'ENQUEUED', 'ATTEMPTS', 'STATE', 'LAST FAILURE'], rows, { paint, width }) + note
    return { json: { deliveries: deliveries.map(toJson), more }, text }
  },
})

function stateOf({ deadAt, takenAt, dueAt }: Queued, now: Date, paint: Paint): string {
  if (deadAt) return paint('red', `given up ${relative(deadAt, now)}`)
  if (dueAt <= now) return paint('yellow', 'due')
  return takenAt ? paint('green', 'being handed over') : `tried again ${relative(dueAt, now)}`
}

function toJson({ id, kind, enqueuedAt, attempts, takenAt, dueAt, lastFailure, deadAt }: Queued) {
  return {
    id,
    kind,
    enqueued_at: enqueuedAt,
    attempts,
    taken_at: takenAt,
    due_at: dueAt,
    last_failure: lastFailure,
    dead_at: deadAt,
  }
}

const retry = command({
  name: 'outbox retry',
  usage: '<id> | --all',
  summary: 'try deliveries again at once, also those that were given up',
  details: `A running server takes them within five seconds. They get as many attempts as at first.

  --all   everything that waits or was given up: “claviger outbox list” shows it`,
  takes: [0, 1],
  options: { all: { type: 'boolean' } },
  run: async ({ open }, [id], { all = false }) => {
    if ((id === undefined) === !all) refuse('name a delivery, or --all')
    if (id !== undefined && !isUuid(id)) refuse(`that is no delivery: ${AN_ID}, and “claviger outbox list” shows them`)
    const opened = await open()
    if (id === undefined) {
      const retried = await retryDeliveries(opened, opened.operation())
      const deliveries = retried === 1 ? '1 delivery is' : `${retried} deliveries are`
      return { json: { retried }, text: retried === 0 ? 'Nothing to try again.' : `${deliveries} tried again.` }
    }
    switch (await retryDelivery(opened, opened.operation(), id)) {
      case 'retried':
        return { json: { retried: 1 }, text: 'It is tried again.' }
      case 'under_way':
        return { json: { retried: 0 }, text: 'Nothing to do: it is being handed over at this moment.' }
      case 'unknown':
        return {
          json: { retried: 0 },
          text: 'There is no such delivery. What has been delivered is not kept.',
          code: EXIT.notFound,
        }
    }
  },
})

export const outboxCommands = [list, retry]
