import { record } from '../audit/audit.ts'
import type { Bell } from '../bell.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import { issueCode, mayMail } from '../credentials/codes/codes.ts'
import { listInvitationCodes, voidInvitation } from '../credentials/codes/invitations.ts'
import { transact } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../errors.ts'
import type { Locale } from '../languages.ts'
import type { Operation } from '../operation.ts'
import { enqueue } from '../outbox/outbox.ts'
import { normaliseEmail } from './email.ts'
import { isUnproved } from './prove-address.ts'
import { findByEmail } from './queries.ts'
import { checkRoles, checkRoom, roomNow } from './rights.ts'

/** What an invitation brings. */
export interface Invitation {
  email: string
  roles: string[]
  /** Whether only the mailbox had the link, so that using it proves the address. */
  mailed: boolean
  createdAt: Date
  expiresAt: Date
}

/**
 * Invites somebody to have an account, who then chooses the password. The newest invitation of an address counts.
 * @param input.mail in which language the link is mailed. Without it nothing is, and the operator hands it over.
 * @returns the link's token and the code too, if they are not mailed: what was mailed proves the address only as long as
 * nobody else has it.
 * @throws Problem invalid_email, invalid_request (roles), email_taken, too_many_requests.
 */
export async function invite(
  deps: { db: Db; config: Config; serverKeys: KeyList; outboxBell: Bell },
  operation: Operation,
  input: { email: string; roles: string[]; mail: Locale | undefined },
): Promise<{ invitation: Invitation; handedOver: { token: string; code: string } | undefined }> {
  const email = normaliseEmail(input.email)
  const roles = checkRoles(input.roles)
  checkRoom(await roomNow(deps), { roles, claims: {} })
  const mailed = input.mail !== undefined
  const { now } = operation
  return await transact(deps.db, async (tx) => {
    const holder = await findByEmail(tx, email)
    // Whoever reads the mailbox takes over what a stranger may have registered. A link that is handed over proves no mailbox.
    if (holder && !(mailed && isUnproved(holder))) throw new Problem('email_taken')
    if (mailed && !(await mayMail(tx, deps.serverKeys, now, email)))
      throw new Problem('too_many_requests', {
        detail: 'Three mails an hour and ten a day go to one address; the invitation before this one stays good.',
      })
    const about = { purpose: 'invitation', userId: null, email, details: { roles, mailed } } as const
    const { token, code, expiresAt } = await issueCode(tx, deps.serverKeys, now, about)
    if (input.mail !== undefined) {
      const proof = { token, code, expiresAt: expiresAt.toISOString() }
      const payload = { to: email, locale: input.mail, template: 'invitation', ...proof } as const
      await enqueue(tx, deps, now, { kind: 'mail', payload })
    }
    await record(tx, operation, { type: 'user.invited', outcome: 'success', details: { roles } })
    const invitation = { email, roles, mailed, createdAt: now, expiresAt }
    return { invitation, handedOver: mailed ? undefined : { token, code } }
  })
}

/** Those that have been neither accepted nor taken back, and have not expired; the newest first. */
export async function listInvitations(db: Db, now: Date, limit: number): Promise<Invitation[]> {
  const codes = await listInvitationCodes(db, now, limit)
  return codes.map(({ email, details, createdAt, expiresAt }) => ({
    email,
    ...broughtBy(details),
    createdAt,
    expiresAt,
  }))
}

/** @throws Problem invalid_email, not_found. */
export async function takeInvitationBack(deps: { db: Db }, operation: Operation, address: string): Promise<string> {
  const email = normaliseEmail(address)
  await transact(deps.db, async (tx) => {
    if (!(await voidInvitation(tx, email))) throw new Problem('not_found', { detail: 'The address has no invitation.' })
    await record(tx, operation, { type: 'invitation.revoked', outcome: 'success' })
  })
  return email
}

/** What `invite` wrote beside the code. */
export function broughtBy(details: Record<string, unknown>): Pick<Invitation, 'roles' | 'mailed'> {
  return details as Pick<Invitation, 'roles' | 'mailed'>
}
