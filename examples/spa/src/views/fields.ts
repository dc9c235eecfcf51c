import type { Field } from './form.ts'

export const EMAIL: Field = { name: 'email', label: 'E-mail address', type: 'email', autocomplete: 'username' }

export const CODE: Field = {
  name: 'code',
  label: 'Code from the mail',
  type: 'text',
  autocomplete: 'one-time-code',
  inputmode: 'numeric',
}

export const NEW_PASSWORD: Field = {
  name: 'password',
  label: 'New password',
  type: 'password',
  autocomplete: 'new-password',
  hint: 'Eight characters at least, and not an easy one to guess.',
}
