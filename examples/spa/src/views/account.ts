import { accountUrl } from '@claviger/browser'
import { account } from '@claviger/browser/account'
import { card, h } from '../dom.ts'
import type { Session } from '../session.ts'
import { CODE, EMAIL, NEW_PASSWORD } from './fields.ts'
import { type Field, form } from './form.ts'

const CURRENT: Field = {
  name: 'current',
  label: 'Your password',
  type: 'password',
  autocomplete: 'current-password',
}

/** What people change about their account. */
export function accountView({ client, config }: Session): HTMLElement {
  const mine = account(client)

  /** Takes effect once the other mailbox has answered: by its link, or by the code, here. */
  const address = form({
    name: 'address',
    fields: [{ ...EMAIL, label: 'Another e-mail address', autocomplete: 'email' }, CURRENT],
    submit: 'Send the mail',
    send: async ({ email = '', current: currentPassword = '' }) => {
      await mine.changeEmail({ email, currentPassword })
      return {
        text: `A mail to ${email} is on its way. Open its link, or type its code here: until then nothing changes.`,
        next: confirmation,
      }
    },
  })
  const confirmation = form({
    name: 'confirmation',
    fields: [CODE],
    submit: 'Confirm',
    send: async ({ code = '' }) => {
      await mine.confirmEmail({ code })
      return { text: 'This is your address now. The old one has got a mail that takes the change back.' }
    },
  })

  const password = form({
    name: 'change',
    fields: [CURRENT, NEW_PASSWORD],
    submit: 'Change the password',
    send: async ({ current: currentPassword = '', password: newPassword = '' }) => {
      await mine.changePassword({ currentPassword, newPassword })
      return { text: 'Your password is another one now, and all other sessions have ended.' }
    },
  })

  return card(
    'account',
    'Your account',
    'In forms of this application. Claviger has a page for it, too.',
    h('div', { class: 'pair' }, config.mail && h('div', {}, address), h('div', {}, password)),
    h('a', { class: 'button small', href: accountUrl(client) }, 'On Claviger’s own page'),
  )
}
