import { ClavigerError } from '@claviger/browser'
import { account, type Session as Listed } from '@claviger/browser/account'
import { button, card, h } from '../dom.ts'
import { explain } from '../errors.ts'
import { type IconName, icon } from '../icons.ts'
import type { Session } from '../session.ts'
import { ago } from '../times.ts'

export interface SessionsView {
  element: HTMLElement
  /** Asks for the list again. */
  update(): Promise<void>
}

/** Where else one is signed in, and how to end that. */
export function sessionsView({ client }: Session): SessionsView {
  const mine = account(client)
  const list = h('ul', { class: 'rows', 'aria-live': 'polite' })
  const trouble = h('p', { class: 'trouble', role: 'alert' })
  const endOthers = button('End all others', 'danger small', () => end(() => mine.endOtherSessions()))
  const again = button('Look again', 'plain small', () => update())
  let shown = new Set<string>()

  const end = async (request: () => Promise<void>): Promise<void> => {
    await attempt(request)
    await update()
  }

  const attempt = async <T>(request: () => Promise<T>): Promise<T | undefined> => {
    try {
      const answer = await request()
      trouble.textContent = ''
      return answer
    } catch (error) {
      const endedMeanwhile = error instanceof ClavigerError && error.code === 'not_found'
      trouble.textContent = endedMeanwhile ? '' : explain(error)
      return undefined
    }
  }

  const update = async (): Promise<void> => {
    const sessions = await attempt(() => mine.sessions())
    if (!sessions) return
    const sorted = sessions.toSorted(
      (a, b) => Number(b.current) - Number(a.current) || b.last_used_at.localeCompare(a.last_used_at),
    )
    list.replaceChildren(...sorted.map((each) => row(each, shown.size > 0 && !shown.has(each.id))))
    shown = new Set(sessions.map((each) => each.id))
    endOthers.hidden = sessions.length < 2
  }

  const row = (each: Listed, isNew: boolean): HTMLElement => {
    const { name, picture } = deviceOf(each)
    const endThis = button('End', 'danger small', () => end(() => mine.endSession(each.id)))
    endThis.ariaLabel = `End the session on ${name}`
    return h(
      'li',
      { class: `row ${each.current ? 'current' : ''} ${isNew ? 'new' : ''}`, 'data-session': each.id },
      h('span', { class: 'badge' }, icon(picture)),
      h(
        'div',
        { class: 'grow' },
        h('b', {}, name),
        h(
          'span',
          { class: 'meta' },
          (each.address ?? 'address unknown') + (each.current ? '' : ` · used ${ago(each.last_used_at)}`),
        ),
      ),
      each.current ? h('span', { class: 'chip' }, 'this browser') : endThis,
    )
  }

  const element = card(
    'sessions',
    'Sessions',
    'Every sign-in is one. End those that you do not know.',
    list,
    trouble,
    h('div', { class: 'actions' }, endOthers, again),
  )
  return { element, update }
}

/** A User-Agent in a person's words. */
function deviceOf({ user_agent: agent, client_id }: Listed): { name: string; picture: IconName } {
  if (agent === null) return { name: 'Unknown device', picture: 'terminal' }
  if (agent.includes('Demo Phone')) return { name: 'Phone of the demo', picture: 'phone' }
  const program = programs.find(([pattern]) => pattern.test(agent))?.[1] ?? agent.split(/[ /]/)[0] ?? 'Unknown'
  const system = systems.find(([pattern]) => pattern.test(agent))?.[1]
  const mobile = /Android|iPhone|Mobile/.test(agent)
  const picture = client_id === 'web' ? (mobile ? 'phone' : 'laptop') : mobile ? 'phone' : 'terminal'
  return { name: system ? `${program} on ${system}` : program, picture }
}

// Order matters: Edge also says Chrome, and Chrome also says Safari.
const programs: [RegExp, string][] = [
  [/Edg\//, 'Edge'],
  [/OPR\//, 'Opera'],
  [/Firefox\//, 'Firefox'],
  [/Chrom(e|ium)\//, 'Chrome'],
  [/Safari\//, 'Safari'],
  [/^curl\//, 'curl'],
]
const systems: [RegExp, string][] = [
  [/Android/, 'Android'],
  [/iPhone|iPad/, 'iOS'],
  [/Windows/, 'Windows'],
  [/Mac OS/, 'macOS'],
  [/Linux/, 'Linux'],
]
