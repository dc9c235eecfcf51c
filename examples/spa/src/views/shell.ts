import type { User } from '@claviger/browser'
import { button, h } from '../dom.ts'
import { icon } from '../icons.ts'

interface ShellOptions {
  tab: string
  signOut(): Promise<void>
}

/** The frame: a bar on top, one place for the panels and one for the activity. */
export function shell({ tab, signOut }: ShellOptions, activity: HTMLElement) {
  const who = h('div', { class: 'who' })
  const offline = h('p', { class: 'offline', role: 'status' })
  const main = h('main', { id: 'main', tabindex: '-1' })
  const aside = h('aside', {}, activity)
  const element = h(
    'div',
    { class: 'page' },
    h('a', { class: 'skip', href: '#main' }, 'Skip to content'),
    h(
      'header',
      {},
      h('div', { class: 'brand' }, icon('key'), h('h1', {}, 'Claviger ', h('span', {}, 'demo'))),
      h(
        'p',
        { class: 'tabs' },
        h('span', { class: 'chip' }, `this tab: ${tab}`),
        h(
          'a',
          { class: 'second', href: '/', target: '_blank', rel: 'noopener' },
          'Open a second tab ',
          h('span', { 'aria-hidden': 'true' }, '↗'),
        ),
      ),
      who,
    ),
    offline,
    h('div', { class: 'columns' }, main, aside),
  )

  const showNetwork = (): void => {
    offline.textContent = navigator.onLine
      ? ''
      : 'Offline. You stay signed in: the next refresh waits until the network is back.'
  }
  addEventListener('online', showNetwork)
  addEventListener('offline', showNetwork)
  showNetwork()

  return {
    element,
    main,
    /** @param beside stand above the activity */
    show(kind: 'signed-in' | 'signed-out' | 'own', panels: HTMLElement[], beside: HTMLElement[]): void {
      main.className = kind
      main.replaceChildren(...panels)
      aside.replaceChildren(...beside, activity)
    },
    showUser(user: User | null): void {
      who.replaceChildren(
        ...(user
          ? [
              h('span', { class: 'avatar', 'aria-hidden': 'true' }, user.email.charAt(0).toUpperCase()),
              h('span', { class: 'email' }, user.email),
              ...user.roles.map((role) => h('span', { class: 'chip' }, role)),
              button('Sign out', 'plain', signOut),
            ]
          : []),
      )
    },
  }
}
