import { type Client, forgotUrl } from '@claviger/browser'
import { account, type Proof } from '@claviger/browser/account'
import { card, h } from '../dom.ts'
import { CODE, EMAIL, NEW_PASSWORD } from './fields.ts'
import { type Field, form } from './form.ts'

// The pages that mails lead to, in an application that brings its own. One that leads to Claviger's needs none of this.

const KNOWN: Field = {
  name: 'password',
  label: 'Password of the account',
  type: 'password',
  autocomplete: 'current-password',
}
const LINK: Field = { name: 'link', label: 'The link in the mail', type: 'text', autocomplete: 'off' }

interface Page {
  title: string
  hint: string
  fields: Field[]
  submit: string
  /** @returns what is said once it has worked. */
  send(values: Record<string, string>): Promise<string>
  /** Where to go on then. The sign-in, unless it says something else. */
  next?: string
  /** For those who get no further here: words and where they lead. */
  below?: [string, string]
}

/**
 * @param path of the page that was opened, as in `APP_URL`
 * @param token of the link that led here, if one did
 * @returns undefined where the path is none of theirs
 */
export function ownPage(client: Client, path: string, token: string | undefined): HTMLElement | undefined {
  const page = pagesOf(client, token)[path]
  if (!page) return undefined
  const { title, hint, fields, submit, next = 'Sign in', below } = page
  const name = path.slice(1)
  const send = async (values: Record<string, string>) => ({
    text: await page.send(values),
    next: h('a', { class: 'button primary wide', href: '/' }, next),
  })
  const [words, where] = below ?? ['To the demo', '/']
  return card(name, title, hint, form({ name, fields, submit, send }), h('a', { class: 'link', href: where }, words))
}

function pagesOf(client: Client, token: string | undefined): Record<string, Page> {
  const mine = account(client)
  /** Who has no link types the code, on whatever device. */
  const typed = token ? [] : [EMAIL, CODE]
  const proof = ({ email = '', code = '' }: Record<string, string>): Proof => (token ? { token } : { email, code })

  return {
    '/forgot': {
      title: 'Forgot your password?',
      hint: 'You get a mail with a link and a code, if there is an account with this address.',
      fields: [EMAIL],
      submit: 'Send the mail',
      send: async ({ email = '' }) => {
        await mine.forgotPassword({ email })
        return `If there is an account of ${email}, a mail is on its way.`
      },
      next: 'To the demo',
      below: ['The same on Claviger’s page', forgotUrl(client)],
    },
    '/reset': {
      title: 'Choose a new password',
      hint: 'It signs out whoever is signed in to the account, everywhere.',
      fields: [...typed, NEW_PASSWORD],
      submit: 'Set the password',
      send: async (values) => {
        await mine.resetPassword({ ...proof(values), newPassword: values.password ?? '' })
        return 'The password is set. Sign in with it.'
      },
      below: ['Send another mail', '/forgot'],
    },
    '/verify': {
      title: 'Confirm your address',
      hint: 'With the password that you chose. If it was somebody else who did, choose one of your own now.',
      fields: [...typed, KNOWN],
      submit: 'Confirm',
      send: async (values) => {
        await mine.verifyEmail({ ...proof(values), password: values.password ?? '' })
        return 'Your address is confirmed. Sign in.'
      },
    },
    '/invitation': {
      title: 'You are invited',
      hint: 'Choose a password, and you have an account.',
      fields: [...typed, NEW_PASSWORD],
      submit: 'Make the account',
      send: async (values) => {
        const { email } = await mine.acceptInvitation({ ...proof(values), password: values.password ?? '' })
        return `There is an account of ${email} now. Sign in.`
      },
    },
    '/email': {
      title: 'Confirm your new address',
      hint: 'You sign in with it from then on. The old address gets a mail that takes the change back.',
      fields: token ? [] : [CODE],
      submit: 'Confirm',
      send: async ({ code = '' }) => {
        await mine.confirmEmail(token ? { token } : { code })
        return 'This is the address of your account now.'
      },
      next: 'To the demo',
    },
    '/undo': {
      title: 'Take the change of address back',
      hint: 'It signs out whoever is signed in to the account, and its password is no longer good: you get a mail to choose another.',
      fields: token ? [] : [LINK],
      submit: 'Take it back',
      send: async ({ link = '' }) => {
        await mine.undoEmailChange({ token: token ?? link.replace(/.*token=/, '') })
        return 'The old address is back, and a mail to choose a new password is on its way to it.'
      },
      next: 'To the demo',
    },
  }
}
