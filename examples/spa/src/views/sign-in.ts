import type { Client } from '@claviger/browser'
import type { DemoConfig } from '../config.ts'
import { busyWhile, h } from '../dom.ts'
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
  const submit = h('button', { type: 'submit', class: 'button primary wide' })
  const title = h('h2', { id: 'sign-in-title' })
  const other = h('button', { type: 'button', class: 'link', onclick: () => choose(!registering) })
  let registering = false

  const choose = (register: boolean): void => {
    registering = register
    title.textContent = register ? 'Make an account' : 'Sign in'
    submit.textContent = title.textContent
    other.textContent = register ? 'Sign in with an account that exists' : 'Make an account instead'
    password.autocomplete = register ? 'new-password' : 'current-password'
    rule.hidden = !register
    if (register && email.value === config.demo?.email) email.value = ''
    if (!register) email.value ||= config.demo?.email ?? ''
    if (email.isConnected) (email.value ? password : email).focus()
  }

  const send = async (): Promise<void> => {
    trouble.textContent = ''
    const credentials = { email: email.value.trim(), password: password.value }
    try {
      const login = { ...credentials, remember: remember.checked }
      if (!registering) await client.login(login)
      else if (!(await client.register({ ...login, signIn: true }))) trouble.textContent = 'Look into your mail.'
    } catch (error) {
      trouble.textContent = explain(error)
      password.select()
    }
  }

  choose(false)
  return h(
    'form',
    {
      class: 'card sign-in',
      'aria-labelledby': 'sign-in-title',
      onsubmit: (event) => {
        event.preventDefault()
        void busyWhile(submit, send)
      },
    },
    title,
    trouble,
    h('label', { for: 'email' }, 'E-mail address'),
    email,
    h('label', { for: 'password' }, 'Password'),
    password,
    rule,
    h('label', { class: 'check', for: 'remember' }, remember, 'Stay signed in after the browser is closed'),
    submit,
    other,
    config.demo && h('p', { class: 'hint' }, config.demo.hint),
  )
}
