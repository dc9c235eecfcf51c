import type { DemoConfig } from '../config.ts'
import { h } from '../dom.ts'
import { type IconName, icon } from '../icons.ts'

const points: [IconName, string, string][] = [
  [
    'key',
    'Two tokens',
    'A short-lived access token in memory, and a refresh token in a cookie that no script can read.',
  ],
  ['laptop', 'Many tabs, one refresh', 'Open a second tab: they share each new token, and sign out together.'],
  [
    'box',
    'A service of its own',
    'The orders come from a server that verifies tokens offline and never asks back. It hears all the same when you sign out.',
  ],
  [
    'mask',
    'A thief',
    'Copy a refresh token, use it, and see the session end, for the service too. Then try it where tokens are bound to a key.',
  ],
]
const mails: (typeof points)[number] = [
  'mail',
  'Every mail',
  'Make an account, forget its password, change its address: what Claviger mails for it is in the inbox here.',
]

/** What there is to see, for those who have not signed in yet. */
export function welcomeView({ inbox }: DemoConfig): HTMLElement {
  return h(
    'section',
    { class: 'welcome' },
    h('p', { class: 'lead' }, 'Sign in, and see what usually nobody sees.'),
    h(
      'ul',
      {},
      ...[...points, ...(inbox ? [mails] : [])].map(([picture, title, text]) =>
        h('li', {}, h('span', { class: 'badge' }, icon(picture)), h('div', {}, h('b', {}, title), h('p', {}, text))),
      ),
    ),
  )
}
