import { card, h } from '../dom.ts'
import type { Session } from '../session.ts'
import { playView } from './play.ts'
import { scripts } from './scenes.ts'

/**
 * A thief copies what a phone has: once where the token is all it takes, once where it is bound to a key.
 * @param onMove after every scene, when the sessions may have changed
 */
export function thiefView(session: Session, onMove: () => Promise<void>): HTMLElement {
  const { config, user } = session
  const needsPassword = !(config.demo?.hasPhone && config.demo.email === user.email)
  const password = h('input', { id: 'phone-password', type: 'password', autocomplete: 'current-password' })
  const plays = scripts.map((script) =>
    playView(session, script, {
      ...(needsPassword ? { password } : {}),
      onMove,
      // One story at a time; the picture of the other play stays, to compare.
      onStart: () => {
        for (const other of plays) if (other.name !== script.name) other.fold()
      },
    }),
  )
  return card(
    'thief',
    'Play the thief',
    'A second device of yours signs in, and somebody copies its tokens. See what the copies are worth.',
    needsPassword &&
      h(
        'div',
        { class: 'phone-password' },
        h('label', { for: 'phone-password' }, 'Your password, for the phone'),
        password,
      ),
    ...plays.map(({ element }) => element),
  )
}
