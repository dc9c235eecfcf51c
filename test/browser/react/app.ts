import { createElement as h, type ReactElement, StrictMode } from 'react'
import type { Client } from '../../../sdk/browser/src/index.ts'
import { ClavigerProvider, useAuth } from '../../../sdk/browser/src/react.ts'

/** What was rendered, one after the other; StrictMode renders everything twice. */
export const rendered: string[] = []

function Who(): ReactElement {
  const { state, user, cause } = useAuth()
  const text = [state, user?.email, cause].filter(Boolean).join(' ')
  if (rendered.at(-1) !== text) rendered.push(text)
  return h('p', { id: 'who' }, text)
}

function Form(): ReactElement {
  const auth = useAuth()
  const signIn = (form: FormData) =>
    auth.login({ email: form.get('email') as string, password: form.get('password') as string })
  return auth.user
    ? h('button', { type: 'button', onClick: () => void auth.logout() }, 'Sign out')
    : h('form', { action: async (form: FormData) => void (await signIn(form)) }, [
        h('input', { key: 'email', name: 'email' }),
        h('input', { key: 'password', name: 'password', type: 'password' }),
        h('button', { key: 'go' }, 'Sign in'),
      ])
}

/** As it is rendered on a server and in a browser. */
export const app = (client: Client): ReactElement =>
  h(StrictMode, null, h(ClavigerProvider, { client }, h(Who), h(Form)))
