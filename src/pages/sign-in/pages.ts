import { alert, type Fault, field, form, notice, submit } from '../fields.ts'
import { html } from '../html.ts'
import { layout } from '../layout.ts'
import { linkTo, type View } from '../view.ts'

interface State {
  email?: string
  remember?: boolean
  fault?: Fault
  /** What has just been done. */
  done?: string
}

export function signInPage(view: View, { email, remember = false, fault, done }: State = {}): string {
  const { words, config, returnTo } = view
  const { signIn } = words
  const fields = html`
${field({ name: 'email', label: words.email, type: 'email', autocomplete: 'username', value: email, fault, first: !email })}
${field({ name: 'password', label: words.password, type: 'password', autocomplete: 'current-password', fault, first: !!email })}
<div class="row">
<label class="check"><input type="checkbox" name="remember" value="yes"${remember ? html` checked` : html``}>${signIn.remember}</label>
${config.mail === 'off' ? '' : html`<a href="${linkTo(view, '/account/forgot')}">${signIn.forgot}</a>`}
</div>
${submit(signIn.submit)}`
  const register = html`<p class="below">${signIn.new} <a href="${linkTo(view, '/account/register')}">${signIn.register}</a></p>`
  const content = html`
${returnTo === undefined ? '' : html`<p class="lead">${signIn.to(new URL(returnTo).host)}</p>`}
${done === undefined ? '' : notice(done, 'status')}
${alert(view, fault)}
${form(view, '/account/sign-in', fields)}
${config.REGISTRATION === 'open' ? register : ''}`
  return layout({ ...view, path: '/account/sign-in' }, { title: signIn.title, content, refused: fault !== undefined })
}

export function registerPage(view: View, { email, fault }: Pick<State, 'email' | 'fault'> = {}): string {
  const { words, config } = view
  const { register } = words
  const least = config.PASSWORD_MIN_LENGTH
  const fields = html`
${field({ name: 'email', label: words.email, type: 'email', autocomplete: 'username', value: email, fault, first: true })}
${field({ name: 'password', label: words.password, type: 'password', autocomplete: 'new-password', fault, least, hint: words.passwordHint(least) })}
${submit(register.submit)}`
  const content = html`${alert(view, fault)}${form(view, '/account/register', fields)}
<p class="below">${register.have} <a href="${linkTo(view, '/account/sign-in')}">${register.signIn}</a></p>`
  return layout(view, { title: register.title, content, refused: fault !== undefined })
}
