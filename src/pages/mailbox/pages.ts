import { account, alert, type Fault, type Field, field, form, submit } from '../fields.ts'
import { type Html, html } from '../html.ts'
import { layout } from '../layout.ts'
import { linkTo, type View } from '../view.ts'

// Pages for what mails bring: each has a link, and a code for those who read the mail elsewhere.

interface Mailed {
  title: string
  text: string
  submit: string
}

export interface FilledIn {
  token?: string
  email?: string
  fault?: Fault
}

/** Of a form that was refused. A token that is good for nothing is not kept: the code of a newer mail may be. */
export function refusedToken(fault: Fault, token: string): Pick<FilledIn, 'token'> {
  return fault.code === 'invalid_code' ? {} : { token }
}

/**
 * What was mailed: the token of the link, which the script puts into the form, or what has to be typed.
 * @param typed without a token.
 */
function fromMail(token: string | undefined, typed: Html): Html {
  return html`<input type="hidden" name="token" value="${token}">
<fieldset class="typed"${token ? html` hidden disabled` : html``}>${typed}</fieldset>`
}

const codeField = ({ words }: View, fault: Fault | undefined): Field => ({
  name: 'code',
  label: words.mailed.code,
  type: 'text',
  autocomplete: 'one-time-code',
  hint: words.mailed.codeHint,
  fault,
})

/** Address and code, or the link, with the password that is to hold. */
export function passwordByMail(
  view: View,
  path: string,
  { words, isNew, filled = {}, below }: { words: Mailed; isNew: boolean; filled?: FilledIn | undefined; below?: Html },
): string {
  const { fault, token, email } = filled
  const least = view.config.PASSWORD_MIN_LENGTH
  const address: Field = {
    name: 'email',
    label: view.words.email,
    type: 'email',
    autocomplete: 'username',
    value: email,
    fault,
    first: !token,
  }
  const password: Field = {
    name: 'password',
    label: isNew ? view.words.newPassword : view.words.password,
    type: 'password',
    autocomplete: isNew ? 'new-password' : 'current-password',
    fault,
    first: !!token,
    least,
    hint: view.words.passwordHint(least),
  }
  const fields = html`${fromMail(token, html`${field(address)}${field(codeField(view, fault))}`)}
${field(password)}
${submit(words.submit)}`
  const content = html`<p class="lead">${words.text}</p>
${alert(view, fault)}
${form(view, path, fields)}
${below ?? html``}`
  return layout({ ...view, path }, { title: words.title, content, refused: fault !== undefined, script: true })
}

/** Asks for an address to which something is mailed. */
export function addressPage(view: View, path: string, words: Mailed, { email, fault }: FilledIn = {}): string {
  const address: Field = {
    name: 'email',
    label: view.words.email,
    type: 'email',
    autocomplete: 'username',
    value: email,
    fault,
  }
  const content = html`<p class="lead">${words.text}</p>
${alert(view, fault)}
${form(view, path, html`${field({ ...address, first: true })}${submit(words.submit)}`)}
<p class="below"><a href="${linkTo(view, '/account/sign-in')}">${view.words.mailed.signIn}</a></p>`
  return layout({ ...view, path }, { title: words.title, content, refused: fault !== undefined })
}

export function changeEmailPage(view: View, present: string, { email, fault }: FilledIn = {}): string {
  const { changeEmail: words } = view.words
  const path = '/account/change-email'
  const fields = html`${account(present)}
${field({ name: 'email', label: words.email, type: 'email', autocomplete: 'email', value: email, fault, first: true })}
${field({ name: 'current_password', label: view.words.currentPassword, type: 'password', autocomplete: 'current-password', fault })}
${submit(words.submit)}`
  const content = html`<p class="lead">${words.text(present)}</p>
${alert(view, fault)}
${form(view, path, fields)}
<p class="below"><a href="${linkTo(view, '/account')}">${view.words.back}</a></p>`
  return layout({ ...view, path }, { title: words.title, content, refused: fault !== undefined })
}

/** The code needs no address: whoever types it is signed in. */
export function confirmEmailPage(view: View, { token, fault }: FilledIn = {}): string {
  const { confirmEmail: words } = view.words
  const fields = html`${fromMail(token, field({ ...codeField(view, fault), first: true }))}${submit(words.submit)}`
  const content = html`<p class="lead">${words.text}</p>${alert(view, fault)}${form(view, '/account/email', fields)}`
  return layout(
    { ...view, path: '/account/email' },
    { title: words.title, content, refused: fault !== undefined, script: true },
  )
}

/** This mail has no code, so that nobody can guess one: without scripts the visitor copies the token. */
export function undoPage(view: View, { token, fault }: FilledIn = {}): string {
  const { undo: words, mailed } = view.words
  const typed: Field = {
    name: 'token',
    label: mailed.linkCode,
    type: 'text',
    autocomplete: 'off',
    value: token,
    hint: mailed.linkCodeHint,
    fault,
    first: true,
  }
  const fields = html`${field(typed)}${submit(words.submit)}`
  const content = html`<p class="lead">${words.text}</p>${alert(view, fault)}${form(view, '/account/undo', fields)}`
  return layout(
    { ...view, path: '/account/undo' },
    { title: words.title, content, refused: fault !== undefined, script: true },
  )
}
