import { describe } from '../describe.ts'
import { button, card, h } from '../dom.ts'
import { explain } from '../errors.ts'
import { icon } from '../icons.ts'
import { begin, move, type Outcome } from '../play.ts'
import type { Session } from '../session.ts'
import { type FamilyState, familyView } from './family.ts'
import { type Scene, scenes } from './scenes.ts'

const PAUSE_MS = 2200

/** What each act sends. Copying sends nothing. */
const requests: Record<Scene['act'], { method: string; path: string }> = {
  'sign in': { method: 'POST', path: '/login' },
  copy: { method: '', path: '' },
  refresh: { method: 'POST', path: '/refresh' },
  orders: { method: 'GET', path: '/orders' },
}

/**
 * The play in six scenes. Nothing in it is feigned: each request goes to a server, and its answer is what is shown.
 * @param onMove after every scene, when the sessions may have changed
 */
export function thiefView({ config, user, activity }: Session, onMove: () => Promise<void>): HTMLElement {
  const needsPassword = !(config.demo?.hasPhone && config.demo.email === user.email)
  const password = h('input', { id: 'phone-password', type: 'password', autocomplete: 'current-password' })
  const story = h('ol', { class: 'story' })
  const picture = h('div', { class: 'picture' })
  const trouble = h('p', { class: 'trouble', role: 'alert' })
  let state: FamilyState = { tokens: [], stolen: false, ended: false }
  let playId: string | undefined
  let sessionId: string | undefined
  let at = 0

  const reset = (): void => {
    state = { tokens: [], stolen: false, ended: false }
    at = 0
    story.replaceChildren()
    picture.replaceChildren(familyView(state))
  }

  const request = async (scene: Scene, ask: () => Promise<Outcome>): Promise<Outcome> => {
    const outcome = await ask()
    const { status, token } = outcome
    const { method, path } = requests[scene.act]
    const server = scene.act === 'orders' ? config.orders : config.issuer
    const words = describe(method, new URL(path, server), status, config)
    const text = scene.words?.[status] ?? words.text
    const tone = status === 200 ? 'good' : 'bad'
    activity.add({ actor: scene.who, request: `${method} ${path}`, status, tone, text })
    if (token) state.tokens.push(token)
    return outcome
  }

  /** @returns the answers; undefined if the play cannot go on. */
  const perform = async (scene: Scene): Promise<Outcome[] | undefined> => {
    if (scene.act === 'sign in') {
      const begun = await request(scene, async () => {
        const found = await begin(user.email, needsPassword ? password.value : undefined)
        playId = found.id
        sessionId = found.sessionId
        return found
      })
      if (begun.status === 200) {
        password.value = ''
        return [begun]
      }
      trouble.textContent =
        begun.status === 401
          ? 'That is not your password.'
          : `The phone was turned away: ${begun.status}. Try again in a moment.`
      return undefined
    }
    if (scene.act === 'copy') {
      state.stolen = true
      return []
    }
    const outcomes: Outcome[] = []
    for (let i = 0; i < scene.times; i++) {
      outcomes.push(await request(scene, () => move(playId ?? '', scene.act === 'orders' ? 'orders' : scene.who)))
    }
    if (scene.who === 'thief' && outcomes[0]?.status === 401) state.ended = true
    return outcomes
  }

  const next = async (): Promise<boolean> => {
    if (at === scenes.length) reset()
    const scene = scenes[at]
    if (!scene) return false
    trouble.textContent = ''
    if (at === 0 && needsPassword && password.value === '') {
      trouble.textContent = 'Type your password, so that the phone can sign in.'
      password.focus()
      return false
    }
    try {
      const outcomes = await perform(scene)
      if (!outcomes) return false
      const other = outcomes.find(({ status }) => status !== scene.expected)
      if (other) {
        // Somebody has ended the phone's session from the list, perhaps.
        trouble.textContent = `The play expects ${scene.expected} here, and Claviger answered ${other.status}: the end.`
        at = scenes.length
        await onMove()
        return false
      }
      story.append(sceneView(scene, outcomes, ++at))
      picture.replaceChildren(familyView(state))
      if (at === scenes.length) story.append(ending())
      story.lastElementChild?.scrollIntoView({ block: 'nearest' })
      await onMove()
    } catch (error) {
      trouble.textContent = explain(error)
      return false
    } finally {
      label()
    }
    return at < scenes.length
  }

  const ending = (): HTMLElement =>
    h(
      'li',
      { class: 'scene end' },
      h('span', { class: 'badge' }, icon('check')),
      h(
        'div',
        {},
        h('b', {}, 'Who is who, nobody can tell. That there are two, everybody can.'),
        h(
          'p',
          {},
          'The thief is out. The owner signs in again, with a password that the thief has not. ',
          'This browser’s session is another family: it goes on. An operator can ask why:',
        ),
        h('code', { class: 'command' }, `claviger sessions why ${sessionId ?? ''}`),
      ),
    )

  const playAll = button('', 'primary', async () => {
    step.hidden = true
    while (await next()) {
      step.hidden = true
      await new Promise((done) => setTimeout(done, PAUSE_MS))
    }
  })
  const step = button('', 'plain', next)
  const label = (): void => {
    const over = at === scenes.length
    playAll.textContent = over ? 'Play it again' : at === 0 ? 'Play the thief' : 'Play on'
    step.textContent = at === 0 ? 'Step by step' : 'Next step'
    step.hidden = over
    form.hidden = !needsPassword || at > 0
  }
  const form = h(
    'div',
    { class: 'phone-password' },
    h('label', { for: 'phone-password' }, 'Your password, for the phone'),
    password,
  )
  reset()
  label()
  return card(
    'thief',
    'Play the thief',
    'A second device of yours signs in, and somebody copies its refresh token. See what the copy is worth.',
    form,
    h('div', { class: 'stage' }, h('div', { class: 'actions' }, playAll, step), trouble, picture),
    story,
  )
}

function sceneView({ who, act, title, text }: Scene, outcomes: Outcome[], number: number): HTMLElement {
  return h(
    'li',
    { class: `scene ${who}` },
    h('span', { class: 'badge' }, icon(who === 'phone' ? 'phone' : 'mask')),
    h(
      'div',
      {},
      h('b', {}, `${number}. ${title}`),
      h('p', {}, text),
      ...outcomes.map(({ status, code }) =>
        h(
          'code',
          { class: `answer ${status === 200 ? 'good' : 'bad'}` },
          `${requests[act].method} ${requests[act].path} → ${status}${code ? ` ${code}` : ''}`,
        ),
      ),
    ),
  )
}
