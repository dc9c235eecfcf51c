import type { Clock } from '../../clock.ts'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../log.ts'
import type { Metrics } from '../../metrics.ts'
import { NotDelivered, Undeliverable } from '../failure.ts'
import type { Handler } from '../outbox.ts'
import { createPost } from './post.ts'
import { proofOf, render } from './render.ts'
import type { Templates } from './templates.ts'

export interface MailerDeps {
  config: Config
  clock: Clock
  log: Log
  metrics: Metrics
  templates: Templates
}

export interface Mailer {
  deliver: Handler<'mail'>
  /** Breaks what is being handed over. */
  close(): Promise<void>
}

/** Hands mails over to the server of SMTP_URL; in development, without one, to the log. */
export function createMailer(deps: MailerDeps, smtpUrl: string | undefined): Mailer {
  const { config, clock, log, templates } = deps
  const post = smtpUrl === undefined ? undefined : createPost(deps, smtpUrl)
  return {
    deliver: async (mail, { id, enqueuedAt, signal }) => {
      // A mail whose link is dead would only raise questions.
      if ('expiresAt' in mail && new Date(mail.expiresAt) <= clock()) throw new Undeliverable('its link has expired')
      const letter = render(mail, { config, templates, enqueuedAt })
      if (post) return await post.handOver(letter, { to: mail.to, id, date: enqueuedAt, signal })
      if (config.mail === 'off') throw new NotDelivered('SMTP_URL is not set')
      const { template, to } = mail
      log.info(
        { template, to, subject: letter.subject, ...proofOf(mail, config) },
        'a mail, shown here because SMTP_URL is not set',
      )
    },
    close: async () => await post?.close(),
  }
}
