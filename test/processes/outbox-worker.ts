// A process that delivers notes to the URL in SINK, as a server delivers mails.

import { createBell } from '../../src/bell.ts'
import { createDatabaseClock } from '../../src/clock.ts'
import { parseConfig } from '../../src/config/parse.ts'
import { deriveKeyList } from '../../src/config/secrets.ts'
import { connectServer } from '../../src/db/pools.ts'
import { databaseTime } from '../../src/db/time.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import type { Handlers } from '../../src/outbox/outbox.ts'
import { startWorker } from '../../src/outbox/worker.ts'

const sink = process.env.SINK ?? ''
const { config, secrets } = parseConfig(process.env)
const { db, close } = await connectServer({ url: secrets.databaseUrl, size: 4 })
const clock = createDatabaseClock(() => databaseTime(db))
await clock.synchronise()
const outboxBell = createBell()
const handlers: Handlers = {
  note: async ({ text }, { id, signal }) => {
    const answer = await fetch(sink, { method: 'POST', body: JSON.stringify({ id, text }), signal })
    await answer.text()
  },
}
const worker = startWorker(
  {
    db,
    clock: clock.now,
    log: createLog(config),
    metrics: createMetrics(),
    serverKeys: deriveKeyList(secrets.serverSecrets),
    outboxBell,
  },
  handlers,
)
outboxBell.ring()
// The worker alone keeps no process alive.
const alive = setInterval(() => {}, 1000)
process.on(
  'SIGTERM',
  () =>
    void worker
      .stop(5000)
      .then(close)
      .then(() => clearInterval(alive)),
)
