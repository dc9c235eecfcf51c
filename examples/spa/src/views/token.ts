import { card, h, s } from '../dom.ts'
import type { Session } from '../session.ts'
import { timeOfDay } from '../times.ts'

interface Decoded {
  header: Record<string, unknown>
  claims: Record<string, unknown> & { iat: number; exp: number }
}

const meanings: Record<string, string> = {
  alg: 'signed with RSA, so that a public key verifies it',
  typ: 'an access token (RFC 9068), nothing else',
  kid: 'which of the published keys',
  iss: 'who made it',
  sub: 'who it is about',
  aud: 'the service it is meant for',
  client_id: 'the application that asked',
  iat: 'made at',
  exp: 'good until',
  jti: 'the number of this very token',
  sid: 'the session: it stays, while tokens come and go',
  scope: 'what the application may do',
  auth_time: 'the password was typed at',
  amr: 'how they proved who they are',
  cnf: 'the key without which it is worth nothing',
  roles: 'what the person may do',
}
const times = new Set(['iat', 'exp', 'auth_time'])

const RADIUS = 54
const LENGTH = 2 * Math.PI * RADIUS

export interface TokenView {
  element: HTMLElement
  /** Shows the token; undefined: there is none at the moment. */
  show(token: string | undefined): void
  /** Who fetched the token that is shown now. */
  fetchedBy(tab: string): void
  tick(): void
}

/** The access token: what is in it, and how long it lives. A real application never needs to look. */
export function tokenView({ tab }: Session): TokenView {
  const arc = s('circle', { class: 'arc', cx: 64, cy: 64, r: RADIUS, 'stroke-dasharray': LENGTH })
  const seconds = h('span', { class: 'seconds' }, '–')
  const unit = h('span', { class: 'unit' }, 'seconds left')
  const ring = h(
    'div',
    { class: 'ring', role: 'timer', 'aria-label': 'Seconds until the access token expires', 'aria-live': 'off' },
    s(
      'svg',
      { viewBox: '0 0 128 128', 'aria-hidden': 'true' },
      s('circle', { class: 'track', cx: 64, cy: 64, r: RADIUS }),
      arc,
    ),
    h('div', { class: 'reading' }, seconds, unit),
  )
  const count = h('b', {}, '0')
  const by = h('span', {}, 'another tab')
  const facts = h(
    'dl',
    { class: 'facts' },
    h('div', {}, h('dt', {}, 'Tokens seen'), h('dd', {}, count)),
    h('div', {}, h('dt', {}, 'Fetched by'), h('dd', {}, by)),
  )
  const header = h('tbody')
  const claims = h('tbody')
  const raw = h('p', { class: 'raw' })
  let current: string | undefined
  let decoded: Decoded | undefined
  let seen = 0

  const show = (token: string | undefined): void => {
    if (token === current) return
    current = token
    decoded = token === undefined ? undefined : decode(token)
    if (!token || !decoded) return
    const before = seen++
    count.textContent = String(seen)
    header.replaceChildren(...Object.entries(decoded.header).map(claimRow))
    claims.replaceChildren(...Object.entries(decoded.claims).map(claimRow))
    raw.replaceChildren(...parts(token))
    if (before > 0) {
      element.classList.remove('fresh')
      void element.offsetWidth // starts the animation anew
      element.classList.add('fresh')
    }
    tick()
  }

  const tick = (): void => {
    const left = decoded ? decoded.claims.exp - Date.now() / 1000 : 0
    const share = decoded ? left / (decoded.claims.exp - decoded.claims.iat) : 0
    arc.setAttribute('stroke-dashoffset', String(LENGTH * (1 - Math.min(1, Math.max(0, share)))))
    ring.classList.toggle('late', share < 0.2)
    ring.classList.toggle('over', left <= 0)
    const whole = Math.max(0, Math.ceil(left))
    const text = whole >= 100 ? `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}` : String(whole)
    if (seconds.textContent !== text) seconds.textContent = text
    unit.textContent =
      left <= 0 ? 'expired' : whole >= 100 ? 'minutes left' : whole === 1 ? 'second left' : 'seconds left'
  }

  const element = card(
    'token',
    'Access token',
    'In the memory of this tab, nowhere else. A new one comes before this one expires.',
    h(
      'div',
      { class: 'token-body' },
      h('div', { class: 'dial' }, ring, facts),
      h(
        'div',
        { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Header and claims' },
        h('table', { class: 'claims' }, caption('Header'), header),
        h('table', { class: 'claims' }, caption('Claims'), claims),
      ),
    ),
    h('details', {}, h('summary', {}, 'As it travels'), raw),
  )
  return {
    element,
    show,
    tick,
    fetchedBy: (who) => {
      by.textContent = who === tab ? `this tab (${who})` : `tab ${who}, for all tabs`
    },
  }
}

const caption = (text: string): HTMLElement => h('caption', {}, text)

function claimRow([name, value]: [string, unknown]): HTMLElement {
  const shown = times.has(name) && typeof value === 'number' ? timeOfDay(value * 1000) : textOf(value)
  return h(
    'tr',
    {},
    h('th', { scope: 'row' }, name),
    h('td', {}, h('code', {}, shown), h('span', { class: 'meaning' }, meanings[name] ?? '')),
  )
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function parts(token: string): HTMLElement[] {
  const [header = '', payload = '', signature = ''] = token.split('.')
  return [
    h('span', { class: 'part-1', title: 'header' }, header),
    h('span', { class: 'part-2', title: 'claims' }, `.${payload}`),
    h('span', { class: 'part-3', title: 'signature' }, `.${signature}`),
  ]
}

/** Reads without verifying: good enough to show, never to decide. */
function decode(token: string): Decoded {
  const [header = '', claims = ''] = token.split('.')
  return { header: JSON.parse(base64url(header)), claims: JSON.parse(base64url(claims)) }
}

function base64url(text: string): string {
  const bytes = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)))
}
