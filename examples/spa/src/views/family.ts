import { h } from '../dom.ts'
import { icon } from '../icons.ts'
import type { Token } from '../play.ts'

/** What the picture shows. */
export interface FamilyState {
  /** As the phone got them. The last one is current. */
  tokens: Token[]
  /** Whether the phone's session is bound to a key. */
  bound: boolean
  stolen: boolean
  /** What the thief has tried in vain, of a session that lives. */
  refused: { refresh: boolean; access: boolean; key: boolean }
  ended: boolean
}

export const nothingYet = (bound: boolean): FamilyState => ({
  tokens: [],
  bound,
  stolen: false,
  refused: { refresh: false, access: false, key: false },
  ended: false,
})

/** The refresh tokens of one session, who has which, and whether the session lives. */
export function familyView(state: FamilyState): HTMLElement {
  const { tokens, ended } = state
  const having = phoneChips(state)
  const stolen = thiefChips(state)
  return h(
    'div',
    { class: `family ${ended ? 'ended' : ''}` },
    lane('phone', 'The phone has', having.length > 0 ? having : [h('li', { class: 'none' }, 'not signed in')]),
    lane('mask', 'The thief has', stolen.length > 0 ? stolen : [h('li', { class: 'none' }, 'nothing yet')]),
    h('p', { class: 'verdict', role: 'status' }, tokens.length === 0 ? '' : verdict(state)),
  )
}

function verdict({ ended, refused }: FamilyState): string {
  if (ended) return 'This session has ended, for both.'
  return refused.refresh ? 'The copies are refused. This session is alive.' : 'This session is alive.'
}

function phoneChips({ tokens, bound, ended }: FamilyState): HTMLElement[] {
  const chain = tokens.flatMap(({ number, hint }, index) => {
    const state = ended ? 'dead' : index === tokens.length - 1 ? 'live' : 'spent'
    const chip = chipOf(`Token ${number}`, hint, state, { dead: 'refused', live: 'current', spent: 'exchanged' }[state])
    return index === 0 ? [chip] : [h('li', { class: 'arrow', 'aria-hidden': 'true' }, '→'), chip]
  })
  return bound && tokens.length > 0 ? [chipOf('Key', 'P-256', 'key', 'stays here'), ...chain] : chain
}

function thiefChips({ tokens, bound, stolen, refused, ended }: FamilyState): HTMLElement[] {
  const [first] = tokens
  if (!stolen || !first) return []
  const copy = (title: string, hint: string, isRefused: boolean) =>
    chipOf(title, hint, isRefused ? 'dead' : 'copy', isRefused ? 'refused' : 'a copy')
  return [
    copy('Token 1', first.hint, ended || refused.refresh),
    bound && copy('Access token', first.accessHint, refused.access),
    refused.key && chipOf('Another key', 'P-256', 'dead', 'refused'),
  ].filter((chip) => chip !== false)
}

function lane(picture: 'phone' | 'mask', label: string, chips: HTMLElement[]): HTMLElement {
  return h(
    'div',
    { class: `lane ${picture}` },
    h('span', { class: 'badge' }, icon(picture)),
    h('span', {}, label),
    h('ul', {}, ...chips),
  )
}

function chipOf(title: string, hint: string, state: string, word: string): HTMLElement {
  return h('li', { class: `token-chip ${state}` }, h('b', {}, title), h('code', {}, hint), h('span', {}, word))
}
