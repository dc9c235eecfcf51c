import type { Config } from '../../config/config.ts'
import type { Metrics } from '../../metrics.ts'
import { Undeliverable } from '../failure.ts'
import type { Letter } from './render.ts'
import { CAUSES, explainSmtp, failureOf } from './smtp-failure.ts'
import { createPool, HAND_OVER_WITHIN_MS, type Pool } from './transport.ts'

interface Cover {
  to: string
  /** Of the delivery: the Message-ID is made of it, so that a second copy is known for one. */
  id: string
  date: Date
  signal: AbortSignal
}

export interface Post {
  /** Resolves when the server has taken the mail over. @throws NotDelivered, or Undeliverable for what it will never take. */
  handOver(letter: Letter, cover: Cover): Promise<void>
  /** Breaks what is being handed over. */
  close(): Promise<void>
}

/** As addresses are stored. Nothing else gets near a header or a command. */
const ADDRESS = /^[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+$/

/** The way to the server that SMTP_URL names. */
export function createPost(
  { config, metrics }: { config: Pick<Config, 'ISSUER' | 'MAIL_FROM'>; metrics: Pick<Metrics, 'mailFailures'> },
  smtpUrl: string,
): Post {
  let opening: Promise<Pool> | undefined
  // From nothing to one is no increase to Prometheus.
  for (const cause of CAUSES) metrics.mailFailures.inc({ cause }, 0)
  const sender = mailboxOf(config.MAIL_FROM ?? '')
  const host = new URL(config.ISSUER).hostname
  return {
    handOver: async ({ subject, text, html }, { to, id, date, signal }) => {
      if (!ADDRESS.test(to)) throw new Undeliverable('the address is not a mailbox')
      try {
        const pool = await (opening ??= createPool(config, smtpUrl))
        await pool.sendMail({
          // As objects, and stated for the envelope besides: no address is read out of a text that may hold another.
          from: sender,
          to: { name: '', address: to },
          envelope: { from: sender.address, to: [to] },
          subject,
          text,
          html,
          date,
          messageId: `<${id}@${host}>`,
          // RFC 3834 §5: neither an absence notice nor another robot answers.
          headers: { 'Auto-Submitted': 'auto-generated' },
          signal: AbortSignal.any([signal, AbortSignal.timeout(HAND_OVER_WITHIN_MS)]),
        })
      } catch (error) {
        metrics.mailFailures.inc({ cause: explainSmtp(error).cause })
        throw failureOf(error)
      }
    },
    close: async () => (await opening)?.close({ force: true }),
  }
}

/** @param mailFrom an address, or a name with the address in angle brackets. */
function mailboxOf(mailFrom: string): { name: string; address: string } {
  const [, name = '', address = mailFrom] = /^(.*?) *<(.*)>$/.exec(mailFrom) ?? []
  return { name, address }
}
