import { accountUrl, type Client } from '@claviger/browser'
import { card, h } from '../dom.ts'
import { icon } from '../icons.ts'
import { type Mail, watchInbox } from '../inbox.ts'
import { timeOfDay } from '../times.ts'

/** What Claviger has sent, as people find it in their mailboxes. */
export function inboxView(client: Client): HTMLElement {
  const nothing = h('p', { class: 'empty' }, 'No mail yet.')
  const list = h('ul', { class: 'rows', 'aria-live': 'polite' })
  watchInbox((mail, isNew) => {
    nothing.remove()
    list.prepend(row(mail, isNew, client))
  })
  return card('inbox', 'Inbox', 'Every mail that Claviger sends, to whichever address.', nothing, list)
}

function row({ subject, to, text, time }: Mail, isNew: boolean, client: Client): HTMLElement {
  const [link] = /https?:\/\/\S+#token=[\w-]+/.exec(text) ?? []
  const [code] = /^\d{4} \d{4}$/m.exec(text) ?? []
  return h(
    'li',
    { class: `row mail ${isNew ? 'new' : ''}` },
    h('span', { class: 'badge' }, icon('mail')),
    h(
      'div',
      { class: 'grow' },
      h('b', {}, subject),
      h(
        'span',
        { class: 'meta' },
        `to ${to} · `,
        h('time', { datetime: new Date(time).toISOString() }, timeOfDay(time)),
      ),
      link &&
        h(
          'div',
          { class: 'actions' },
          h('a', { class: 'button primary small', href: link }, 'Open it'),
          h('a', { class: 'button small', href: onItsPage(client, link) }, 'On Claviger’s page'),
        ),
      h(
        'details',
        {},
        h('summary', {}, 'Read it', code && h('code', {}, `code ${code}`)),
        h('div', { class: 'text' }, ...withLinks(text)),
      ),
    ),
  )
}

/** The same link, as it would be without `APP_URL`; and back here once somebody has signed in. */
function onItsPage(client: Client, link: string): string {
  const [own, url] = [new URL(link), new URL(accountUrl(client))]
  url.pathname += own.pathname
  url.hash = own.hash
  return url.href
}

const withLinks = (text: string): (HTMLElement | string)[] =>
  text.split(/(https?:\/\/\S+)/).map((part, at) => (at % 2 === 0 ? part : h('a', { href: part }, part)))
