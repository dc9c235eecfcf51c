import { describe } from '../describe.ts'
import { button, h } from '../dom.ts'
import { explain } from '../errors.ts'
import { icon } from '../icons.ts'
import { begin, move, type Outcome } from '../play.ts'
import type { Session } from '../session.ts'
import { familyView, nothingYet } from './family.ts'
import { type Act, requests, type Scene, type Script } from './scenes.ts'

const PAUSE_MS = 2200

interface PlayOptions {
  /** Where somebody types theirs, if the phone does not know it. */
  password?: HTMLInputElement
  /** After every scene, when the sessions may have changed. */
  onMove(): Promise<void>
  /** Before every scene. */
  onStart(): void
}

export interface PlayView {
  name: Script['name']
  element: HTMLElement
  /** Puts the story away, and leaves the picture. */
  fold(): void
}

/** One play. Nothing in it is feigned: each request goes to a server, and its answer is what is shown. */
export function playView({ config, user, activity }: Session, script: Script, options: PlayOptions): PlayView {
  const { password, onMove, onStart } = options
  const { name, scenes } = script
  const story = h('ol', { class: 'story' })
  const picture = h('div', { class: 'picture' })
  const trouble = h('p', { class: 'trouble', role: 'alert' })
  let state = nothingYet(name === 'bound')
  let playId: string | undefined
  let sessionId: string | undefined
  let at = 0

  const reset = (): void => {
    state = nothingYet(name === 'bound')
    at = 0
    story.replaceChildren()
    picture.replaceChildren(familyView(state))
  }

  const request = async ({ who, words }: Scene, act: Act): Promise<Outcome> => {
    const outcome = act === 'sign in' ? await signIn() : await move(playId ?? '', who, act)
    const { status, token } = outcome
    const { method, path } = requests[act]
    const server = act === 'orders' ? config.orders : config.issuer
    const text = words?.[status] ?? describe(method, new URL(path, server), status, config).text
    activity.add({ actor: who, request: `${method} ${path}`, status, tone: status === 200 ? 'good' : 'bad', text })
    if (token) state.tokens.push(token)
    return outcome
  }

  const signIn = async (): Promise<Outcome> => {
    const begun = await begin(user.email, password?.value, name === 'bound')
    playId = begun.id
    sessionId = begun.sessionId
    return begun
  }

  /** @returns the answers, up to the first that is not as it should be. */
  const perform = async (scene: Scene): Promise<Outcome[]> => {
    if (scene.asks.length === 0) state.stolen = true
    const outcomes: Outcome[] = []
    for (const { act, expected } of scene.asks) {
      const outcome = await request(scene, act)
      outcomes.push(outcome)
      if (outcome.status !== expected) break
      if (scene.who === 'thief') {
        if (name === 'bearer') state.ended = true
        else state.refused[({ refresh: 'refresh', forge: 'key', orders: 'access' } as const)[act as Thieving]] = true
      }
    }
    return outcomes
  }

  const next = async (): Promise<boolean> => {
    if (at === scenes.length) reset()
    const scene = scenes[at]
    if (!scene) return false
    onStart()
    story.hidden = false
    trouble.textContent = ''
    if (at === 0 && password?.value === '') {
      trouble.textContent = 'Type your password, so that the phone can sign in.'
      password.focus()
      return false
    }
    try {
      const outcomes = await perform(scene)
      const last = outcomes.at(-1)
      const expected = scene.asks[outcomes.length - 1]?.expected
      if (last && last.status !== expected) {
        if (at === 0) trouble.textContent = turnedAway(last.status)
        else {
          // Somebody has ended the phone's session from the list, perhaps.
          trouble.textContent = `The play expects ${expected} here, and the answer was ${last.status}: the end.`
          at = scenes.length
          await onMove()
        }
        return false
      }
      if (at === 0 && password) password.value = ''
      story.append(sceneView(scene, outcomes, ++at))
      picture.replaceChildren(familyView(state))
      if (at === scenes.length) story.append(ending(script, sessionId ?? ''))
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
    playAll.textContent = at === 0 ? script.play : over ? 'Play it again' : 'Play on'
    step.textContent = at === 0 ? 'Step by step' : 'Next step'
    step.hidden = over
  }
  reset()
  label()
  const actions = h('div', { class: 'actions' }, playAll, step)
  const heading = h('h3', {}, script.heading)
  const element = h(
    'div',
    { class: `play ${name}` },
    h('div', { class: 'stage' }, heading, actions, trouble, picture),
    story,
  )
  const fold = (): void => {
    story.hidden = true
  }
  return { name, element, fold }
}

type Thieving = Exclude<Act, 'sign in'>

function turnedAway(status: number): string {
  return status === 401 ? 'That is not your password.' : `The phone was turned away: ${status}. Try again in a moment.`
}

function sceneView({ who, asks, title, text }: Scene, outcomes: Outcome[], number: number): HTMLElement {
  return h(
    'li',
    { class: `scene ${who}` },
    h('span', { class: 'badge' }, icon(who === 'phone' ? 'phone' : 'mask')),
    h(
      'div',
      {},
      h('b', {}, `${number}. ${title}`),
      h('p', {}, text),
      ...outcomes.map(({ status, code }, index) => {
        const { method, path } = requests[asks[index]?.act ?? 'refresh']
        const answer = `${method} ${path} → ${status}${code ? ` ${code}` : ''}`
        return h('code', { class: `answer ${status === 200 ? 'good' : 'bad'}` }, answer)
      }),
    ),
  )
}

function ending({ moral, ending: text }: Script, sessionId: string): HTMLElement {
  return h(
    'li',
    { class: 'scene end' },
    h('span', { class: 'badge' }, icon('check')),
    h(
      'div',
      {},
      h('b', {}, moral),
      h('p', {}, text),
      h('code', { class: 'command' }, `claviger sessions why ${sessionId}`),
    ),
  )
}
