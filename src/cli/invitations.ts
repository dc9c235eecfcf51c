import { LOCALES, type Locale } from '../languages.ts'
import { linkTo } from '../outbox/mail/links.ts'
import { type Invitation, invite, listInvitations, takeInvitationBack } from '../users/invite.ts'
import { command } from './command.ts'
import { refuse } from './exit.ts'
import { limitOf } from './options.ts'
import { pairs, table } from './terminal.ts'
import { iso, when } from './times.ts'

const inviteCommand = command({
  name: 'users invite',
  usage: '<email> [--role ROLE]… [--language CODE] [--no-mail] | <email> --revoke',
  summary: 'invite somebody to have an account, or take the invitation back',
  details: `A link and a code are mailed to the address. Whoever uses one of them chooses the password, and the address counts as
verified. They are good for seven days and can be used once; another invitation replaces them. Whatever REGISTRATION says,
people can be invited.

  --role ROLE       give the account a role; may be repeated
  --language CODE   of the mail: ${LOCALES.join(', ')}; without it ${LOCALES[0]}
  --no-mail         print link and code, for you to hand over: the address then counts as not verified. Where SMTP_URL is
                    not set in production, they are printed anyway
  --revoke          take the invitation back: link and code are good for nothing`,
  takes: [1, 1],
  options: {
    role: { type: 'string', multiple: true },
    language: { type: 'string' },
    'no-mail': { type: 'boolean' },
    revoke: { type: 'boolean' },
  },
  run: async ({ open, paint }, [address = ''], values) => {
    const { role: roles = [], revoke = false } = values
    const language = languageOf(values.language)
    if (revoke) {
      if (Object.keys(values).some((name) => name === 'role' || name === 'language' || name === 'no-mail'))
        refuse('--revoke takes no other option')
      const opened = await open()
      const email = await takeInvitationBack(opened, opened.operation(), address)
      return { json: { email, revoked: true }, text: `The invitation of ${paint('bold', email)} is taken back.` }
    }
    const opened = await open()
    const { config } = opened
    const mail = values['no-mail'] || config.mail === 'off' ? undefined : language
    const { invitation, handedOver } = await invite(opened, opened.operation(), { email: address, roles, mail })
    const hasPage = config.PAGES === 'on' || config.APP_URL !== undefined
    const link = handedOver && hasPage ? linkTo(config, 'invitation', handedOver.token) : null
    const code = handedOver?.code ?? null
    const until = when(invitation.expiresAt, opened.clock())
    const proofs = Object.entries({ link, code }).filter((each): each is [string, string] => each[1] !== null)
    const text =
      proofs.length === 0
        ? `Invited ${paint('bold', invitation.email)}: a mail is on its way. Its link is good until ${until}.`
        : `Invited ${paint('bold', invitation.email)}. Hand over one of these, and to nobody else; they are good until ${until}.\n\n${pairs(proofs, paint)}`
    return { json: { invitation: toJson(invitation), link, code }, text }
  },
})

const list = command({
  name: 'users invitations',
  usage: '[--limit N]',
  summary: 'list the invitations that wait to be accepted, newest first',
  details: '  --limit N   at most so many (1 to 1000, default 50)',
  takes: [0, 0],
  options: { limit: { type: 'string' } },
  run: async ({ open, paint, width }, _args, { limit }) => {
    const most = limitOf(limit)
    const { db, clock } = await open()
    const invitations = await listInvitations(db, clock(), most)
    const rows = invitations.map(({ email, roles, createdAt, expiresAt, mailed }) => [
      email,
      iso(createdAt),
      iso(expiresAt),
      mailed ? 'mailed' : 'handed over',
      roles.join(', ') || '-',
    ])
    const text =
      rows.length === 0
        ? 'No invitations.'
        : table(['EMAIL', 'INVITED', 'EXPIRES', 'HOW', 'ROLES'], rows, { paint, width })
    return { json: { invitations: invitations.map(toJson) }, text }
  },
})

function languageOf(stated: string | undefined): Locale {
  if (stated === undefined) return LOCALES[0]
  return LOCALES.find((locale) => locale === stated) ?? refuse(`--language takes one of ${LOCALES.join(', ')}`)
}

function toJson({ email, roles, mailed, createdAt, expiresAt }: Invitation) {
  return { email, roles, mailed, created_at: createdAt, expires_at: expiresAt }
}

export const invitationCommands = [inviteCommand, list]
