import { describeDevice } from '../../outbox/mail/device.ts'
import type { LiveSession } from '../../sessions/list.ts'
import { account, alert, type Fault, field, form, notice, submit } from '../fields.ts'
import { type Html, html } from '../html.ts'
import { layout } from '../layout.ts'
import { linkTo, type View } from '../view.ts'

interface Account {
  email: string
  sessions: LiveSession[]
  /** The session of this browser. */
  sessionId: string
  now: Date
  /** What has just been done. */
  done?: string | undefined
}

export function accountPage(view: View, { email, sessions, sessionId, now, done }: Account): string {
  const { account: words, password } = view.words
  const own = sessions.filter(({ id }) => id === sessionId)
  const others = sessions.filter(({ id }) => id !== sessionId)
  const endOthers = html`<input type="hidden" name="others" value="yes"><button type="submit">${words.endOthers}</button>`
  const content = html`
<div class="head"><p class="lead">${email}</p>
${form(view, '/account/sign-out', html`<button type="submit">${words.signOut}</button>`)}</div>
${done === undefined ? '' : notice(done, 'status')}
<section aria-labelledby="details">
<h2 id="details">${words.security}</h2>
<ul class="list">
<li><div><p class="name">${view.words.email}</p><p class="soft">${email}</p></div>
${view.config.mail === 'off' ? '' : change(view, '/account/change-email', words.changeEmail)}</li>
<li><div><p class="name">${password}</p><p class="soft">${words.hidden}</p></div>
${change(view, '/account/password', words.changePassword)}</li>
</ul>
</section>
<section aria-labelledby="sessions">
<h2 id="sessions">${words.sessions}</h2>
<p class="hint">${words.sessionsHint}</p>
<ul class="list">
${own.map((session) => ownSession(view, session))}
${others.map((session) => otherSession(view, session, now))}
</ul>
${others.length === 0 ? '' : form(view, '/account', endOthers)}
</section>
${wayBack(view)}`
  return layout({ ...view, path: '/account' }, { title: words.title, content, wide: true })
}

/** To the site that led here. It is told to ask who is signed in: that may be somebody else by now. */
function wayBack({ words, returnTo }: View): Html {
  if (returnTo === undefined) return html``
  return html`<p class="below"><a href="${returnTo}/#signed-in">${words.signedIn.goOn(new URL(returnTo).host)}</a></p>`
}

function change(view: View, path: string, label: string): Html {
  return html`<a class="button" href="${linkTo(view, path)}" aria-label="${label}">${view.words.account.change}</a>`
}

function ownSession(view: View, session: LiveSession): Html {
  const { account: words } = view.words
  return html`<li><div>
<p><span class="name">${deviceOf(view, session)}</span> <span class="badge">${words.current}</span></p>
<p class="soft">${session.address ?? ''}</p>
</div></li>`
}

function otherSession(view: View, session: LiveSession, now: Date): Html {
  const { account: words } = view.words
  const device = deviceOf(view, session)
  const used = html`<time datetime="${session.lastUsedAt.toISOString()}">${ago(now, session.lastUsedAt, view.locale)}</time>`
  const end = html`<input type="hidden" name="id" value="${session.id}">
<button type="submit" aria-label="${words.endOf(device)}">${words.end}</button>`
  return html`<li><div>
<p class="name">${device}</p>
<p class="soft">${session.address === null ? '' : `${session.address} · `}${words.lastUsed} ${used}</p>
</div>${form(view, '/account', end)}</li>`
}

function deviceOf(view: View, { userAgent }: LiveSession): string {
  return describeDevice(userAgent) ?? view.words.account.unknownDevice
}

const STEPS = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
] as const

/** "3 hours ago". The visitor's time zone is unknown here, so a time of the day would mislead. */
function ago(now: Date, then: Date, locale: string): string {
  const seconds = Math.max(0, (now.getTime() - then.getTime()) / 1000)
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  for (const [unit, size] of STEPS) if (seconds >= size) return format.format(-Math.floor(seconds / size), unit)
  return format.format(0, 'second')
}

export function passwordPage(view: View, { email, fault }: { email: string; fault?: Fault }): string {
  const { words, config } = view
  const { changePassword } = words
  const least = config.PASSWORD_MIN_LENGTH
  const fields = html`
${account(email)}
${field({ name: 'current_password', label: words.currentPassword, type: 'password', autocomplete: 'current-password', fault, first: true })}
${field({ name: 'new_password', label: words.newPassword, type: 'password', autocomplete: 'new-password', fault, least, hint: words.passwordHint(least) })}
${submit(changePassword.submit)}`
  const content = html`<p class="lead">${changePassword.text}</p>
${alert(view, fault)}
${form(view, '/account/password', fields)}
<p class="below"><a href="${linkTo(view, '/account')}">${words.back}</a></p>`
  return layout(view, { title: changePassword.title, content, refused: fault !== undefined })
}
