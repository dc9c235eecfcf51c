import { ClavigerError, type Client, registerUrl, signInUrl } from '@claviger/browser'
import { account } from '@claviger/browser/account'
import type { DemoConfig } from '../config.ts'
import { busyWhile, button, h } from '../dom.ts'
import { explain } from '../errors.ts'

/** The form that signs people in, or makes an account first. @param notice why they see it, if there is a reason */
export function signInView(client: Client, config: DemoConfig, notice: string | undefined): HTMLElement {
  const email = h('input', {
    id: 'email',
    type: 'email',
    required: true,
    autocomplete: 'username',
    value: config.demo?.email ?? '',
    placeholder: 'you@example.com',
  })
  const password = h('input', { id: 'password', type: 'password', required: true })
  const remember = h('input', { id: 'remember', type: 'checkbox' })
  const rule = h('p', { class: 'hint', id: 'rule' }, 'Eight characters at least, and not an easy one to guess.')
  const trouble = h('p', { class: 'trouble', role: 'alert' }, notice)
  const done = h('p', { class: 'done', role: 'status' })
  const again = button('Send the mail again', 'small', () => attempt(resend))
  const submit = h('button', { type: 'submit', class: 'button primary wide' })
  const title = h('h2', { id: 'sign-in-title' })
  const other = h('button', { type: 'button', class: 'link', onclick: () => choose(!registering) })
  const itsPage = h('a', { class: 'button wide' }, 'On Claviger’s own page')
  let registering = false

  const choose = (register: boolean): void => {
    registering = register
    title.textContent = register ? 'Make an account' : 'Sign in'
    submit.textContent = title.textContent
    other.textContent = register ? 'Sign in with an account that exists' : 'Make an account instead'
    password.autocomplete = register ? 'new-password' : 'current-password'
    rule.hidden = !register
    itsPage.href = register ? registerUrl(client) : signInUrl(client)
    if (register && email.value === config.demo?.email) email.value = ''
    if (!register) email.value ||= config.demo?.email ?? ''
    if (email.isConnected) (email.value ? password : email).focus()
  }

  const attempt = async (work: () => Promise<void>): Promise<void> => {
    trouble.textContent = ''
    done.textContent = ''
    again.hidden = true
    try {
      await work()
    } catch (error) {
      trouble.textContent = explain(error)
      again.hidden = !(error instanceof ClavigerError && error.code === 'email_unverified')
      password.select()
    }
  }
  const send = async (): Promise<void> => {
    const login = { email: email.value.trim(), password: password.value, remember: remember.checked }
    if (!registering) await client.login(login)
    // Where addresses have to be confirmed, the answer is the same whether or not there was an account.
    else if (!(await client.register({ ...login, signIn: true }))) mailed(login.email)
  }
  const resend = async (): Promise<void> => {
    const address = email.value.trim()
    await account(client).resendVerification({ email: address })
    mailed(address)
  }
  const mailed = (address: string): void => {
    done.textContent = `A mail to ${address} is on its way. Open its link${config.inbox ? ', in the inbox on this page' : ''}.`
    again.hidden = false
  }

  again.hidden = true
  choose(false)
  return h(
    'form',
    {
      class: 'card sign-in',
      'aria-labelledby': 'sign-in-title',
      onsubmit: (event) => {
        event.preventDefault()
        void busyWhile(submit, () => attempt(send))
      },
    },
    title,
    trouble,
    done,
    again,
    h('label', { for: 'email' }, 'E-mail address'),
    email,
    h('label', { for: 'password' }, 'Password'),
    password,
    rule,
    h('label', { class: 'check', for: 'remember' }, remember, 'Stay signed in after the browser is closed'),
    submit,
    itsPage,
    h(
      'div',
      { class: 'ways' },
      other,
      config.mail && h('a', { class: 'link', href: '/forgot' }, 'Forgot your password?'),
    ),
    config.demo && h('p', { class: 'hint' }, config.demo.hint),
  )
}
