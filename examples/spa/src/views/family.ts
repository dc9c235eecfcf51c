import { h } from '../dom.ts'
import { icon } from '../icons.ts'
import type { Outcome } from '../play.ts'

export type Token = NonNullable<Outcome['token']>

/** What the picture shows. */
export interface FamilyState {
  /** As the phone got them. The last one is current. */
  tokens: Token[]
  stolen: boolean
  ended: boolean
}

/** The refresh tokens of one session, who has which, and whether the session lives. */
export function familyView({ tokens, stolen, ended }: FamilyState): HTMLElement {
  const chain = tokens.flatMap((token, index) => {
    const state = ended ? 'dead' : index === tokens.length - 1 ? 'live' : 'spent'
    const chip = tokenChip(token, state, { dead: 'refused', live: 'current', spent: 'exchanged' }[state])
    return index === 0 ? [chip] : [h('li', { class: 'arrow', 'aria-hidden': 'true' }, '→'), chip]
  })
  const [first] = tokens
  const copy =
    stolen && first
      ? tokenChip(first, ended ? 'dead' : 'copy', ended ? 'refused' : 'a copy')
      : h('li', { class: 'none' }, 'nothing yet')
  return h(
    'div',
    { class: `family ${ended ? 'ended' : ''}` },
    lane('phone', 'The phone has', chain.length > 0 ? chain : [h('li', { class: 'none' }, 'not signed in')]),
    lane('mask', 'The thief has', [copy]),
    h(
      'p',
      { class: 'verdict', role: 'status' },
      tokens.length === 0 ? '' : ended ? 'This session has ended, for both.' : 'This session is alive.',
    ),
  )
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

function tokenChip({ number, hint }: Token, state: string, word: string): HTMLElement {
  return h(
    'li',
    { class: `token-chip ${state}` },
    h('b', {}, `Token ${number}`),
    h('code', {}, hint),
    h('span', {}, word),
  )
}
