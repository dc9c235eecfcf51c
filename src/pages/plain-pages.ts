import type { Problem, Reason } from '../errors.ts'
import { faultOf } from './faults.ts'
import { form, notice } from './fields.ts'
import { type Html, html } from './html.ts'
import { layout } from './layout.ts'
import { linkTo, type View } from './view.ts'

// Pages without fields: what has happened, and where to go from there.

const NO_KEY = 'dpop_jkt is missing or malformed' satisfies Reason

/** What a request was refused for, if no form can show it. */
export function problemPage(view: View, problem: Problem): string {
  const { words } = view
  // The wishes of a refused request may be what it was refused for; not the client's, if its session is looked for.
  const { client_id } = view.wishes
  const wishes = problem.code === 'invalid_grant' && client_id !== undefined ? { client_id } : {}
  const plain: View = { ...view, path: '/account/sign-in', wishes }
  const go = html`<p class="below"><a href="${linkTo(plain, plain.path)}">${words.problem.goOn}</a></p>`
  if (problem.code === 'invalid_grant') return layout(plain, { title: words.signIn.again, content: go })
  const text = notice(textOf(view, problem), 'alert')
  // Only the application has the key, and signing in here without it would start a session of another client.
  const content = problem.reason === NO_KEY ? text : html`${text}${go}`
  return layout(plain, { title: words.problem.refused, content })
}

function textOf(view: View, problem: Problem): string {
  const { problem: words } = view.words
  if (problem.code === 'origin_not_allowed') return words.origin
  if (problem.reason === 'return_to is no origin of the client') return words.returnTo
  if (problem.reason === NO_KEY) return words.key
  if (problem.code === 'invalid_request' || problem.status === 415 || problem.status === 413) return words.request
  return faultOf(view, problem).text
}

/** Leads on at once, to the same page: the browser asks for it again, from here. */
export function passagePage(view: View): string {
  const { signedIn } = view.words
  const here = linkTo(view, view.path)
  const content = html`<p class="actions"><a class="button primary" href="${here}">${signedIn.account}</a></p>`
  return layout(view, { title: signedIn.account, content, goOn: here })
}

/** Somebody has signed in, and goes on to the site that they came from. */
export function returnPage(view: View, returnTo: string): string {
  const { signedIn } = view.words
  // Tells the site to ask for tokens at once. No secret stands there: the session is in the cookie.
  const target = `${returnTo}/#signed-in`
  return layout(view, { title: signedIn.title, content: goOnButton(view, returnTo, target), goOn: target })
}

/** Somebody is signed in already, and has asked to sign in. Nothing leads on by itself: a site that finds no session would send them back, on and on. */
export function signedInPage(view: View, email: string): string {
  const { signedIn } = view.words
  const { returnTo } = view
  const goOn =
    returnTo === undefined
      ? html`<a class="button primary" href="${linkTo(view, '/account')}">${signedIn.account}</a>`
      : goOnButton(view, returnTo, `${returnTo}/#signed-in`)
  const other = form(
    view,
    '/account/sign-out',
    html`<p class="below"><button type="submit">${signedIn.other}</button></p>`,
  )
  const content = html`<p class="lead">${signedIn.as(email)}</p><div class="actions">${goOn}</div>${other}`
  return layout(view, { title: signedIn.title, content })
}

function goOnButton(view: View, returnTo: string, target: string): Html {
  return html`<div class="actions"><a class="button primary" href="${target}">${view.words.signedIn.goOn(new URL(returnTo).host)}</a></div>`
}

/** Something is done, with a link to where to go from there. */
export function donePage(
  view: View,
  { title, text, path, label }: { title: string; text: string; path: string; label: string },
): string {
  const content = html`<p class="lead">${text}</p>
<div class="actions"><a class="button primary" href="${linkTo(view, path)}">${label}</a></div>`
  return layout({ ...view, path }, { title, content })
}
