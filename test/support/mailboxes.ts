import type { Mail, Template } from '../../src/outbox/mail/mail.ts'
import { carryOut } from '../../src/sign-in/account-mail.ts'
import type { TestApp } from './app.ts'
import { noteSecret } from './canary.ts'

/** What a sign-in or another password brings about besides. */
const NEWS: ReadonlySet<Template> = new Set(['new-device', 'password-changed', 'password-disabled'])

export interface Mailboxes {
  /** What has come to an address since it was last asked for, the oldest first. */
  of(address: string): Promise<Mail[]>
  /** The same of one template, which must be there. */
  one<T extends Template>(address: string, template: T): Promise<Extract<Mail, { template: T }>>
}

/** Takes in the mails that the app hands over, in the place of the world outside. */
export function openMailboxes(t: Pick<TestApp, 'deliver' | 'deps'>): Mailboxes {
  const mails: Mail[] = []
  const of = async (address: string): Promise<Mail[]> => {
    await t.deliver({ account: carryOut(t.deps), mail: async (mail) => void mails.push(mail) })
    const mine = mails.filter(({ to, template }) => to === address && !NEWS.has(template))
    for (const mail of mine) mails.splice(mails.indexOf(mail), 1)
    return mine
  }
  return {
    of,
    one: async <T extends Template>(address: string, template: T) => {
      const found = (await of(address)).findLast((mail) => mail.template === template)
      if (found && 'token' in found) noteSecret(found.token)
      if (!found) throw new Error(`${address} has got no mail ${template}`)
      return found as Extract<Mail, { template: T }>
    },
  }
}
