import type { Activity, Entry } from '../activity.ts'
import { card, h } from '../dom.ts'
import { icon } from '../icons.ts'
import { timeOfDay } from '../times.ts'

const SHOWN = 40

/** What the tabs of this browser asked, newest first. */
export function activityView(activity: Activity): HTMLElement {
  const list = h('ol', { class: 'log', tabindex: '0', 'aria-label': 'Requests, newest first' })
  const nothing = h('p', { class: 'empty' }, 'Nothing yet.')
  const quiet = new Map<string, HTMLElement>()
  const add = (entry: Entry): void => {
    nothing.remove()
    const element = row(entry, activity.tab)
    list.prepend(element)
    if (entry.tone === 'quiet') {
      // The list of sessions is looked up all the time. Of such requests the latest is enough.
      const kind = `${entry.tab} ${entry.text}`
      quiet.get(kind)?.remove()
      quiet.set(kind, element)
    }
    while (list.children.length > SHOWN) list.lastElementChild?.remove()
  }
  activity.onEntry(add)
  return card('activity', 'Activity', 'Every request of every tab of this browser.', nothing, list)
}

function row(entry: Entry, tab: string): HTMLElement {
  const actor = entry.actor === 'page' ? undefined : entry.actor
  const others = entry.tab === tab ? undefined : h('span', { class: 'tab' }, `tab ${entry.tab}`)
  return h(
    'li',
    { class: `entry ${entry.tone} ${entry.actor}` },
    h('span', { class: 'dot', 'aria-hidden': 'true' }, actor && icon(actor === 'phone' ? 'phone' : 'mask')),
    h(
      'div',
      {},
      h('p', {}, actor && h('b', {}, actor === 'phone' ? 'Phone: ' : 'Thief: '), entry.text),
      h(
        'p',
        { class: 'meta' },
        h('time', { datetime: new Date(entry.time).toISOString() }, timeOfDay(entry.time)),
        h('code', {}, entry.request),
        h('code', { class: 'status' }, entry.status === undefined ? 'no answer' : String(entry.status)),
        entry.ms === undefined ? undefined : h('span', {}, `${entry.ms} ms`),
        others,
      ),
    ),
  )
}
