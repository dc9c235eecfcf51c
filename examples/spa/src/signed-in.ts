import type { Entry } from './activity.ts'
import type { Session } from './session.ts'
import { accountView } from './views/account.ts'
import { ordersView } from './views/orders.ts'
import { sessionsView } from './views/sessions.ts'
import { thiefView } from './views/thief.ts'
import { tokenView } from './views/token.ts'

/** The panels of somebody who is signed in. `close` ends what they do in the background. */
export function signedIn(session: Session): { main: HTMLElement[]; beside: HTMLElement; close(): void } {
  const { client, activity } = session
  const stop = new AbortController()
  const token = tokenView(session)
  const sessions = sessionsView(session)
  const thief = thiefView(session, sessions.update)

  let asking = false
  /** From memory, unless the token is about to expire: then this is what fetches another one. */
  const showToken = async (): Promise<void> => {
    token.tick()
    if (asking) return
    asking = true
    try {
      token.show(await client.getAccessToken())
    } catch {
      // Offline, or signed out a moment ago. The dial runs down, and shows it.
    } finally {
      asking = false
    }
  }
  const timer = setInterval(() => void showToken(), 250)

  const onEntry = (entry: Entry): void => {
    if (stop.signal.aborted) return
    const brought = entry.request === 'POST /refresh' || entry.request === 'POST /login'
    if (brought && entry.status === 200 && entry.actor === 'page') token.fetchedBy(entry.tab)
    if (entry.tab !== session.tab && /^(DELETE|POST) \/(sessions|login|logout)/.test(entry.request))
      void sessions.update()
  }
  const last = activity.entries.find(
    ({ request, status }) => /^POST \/(refresh|login)$/.test(request) && status === 200,
  )
  if (last) onEntry(last)
  activity.onEntry(onEntry)
  document.addEventListener(
    'visibilitychange',
    () => {
      if (!document.hidden) void sessions.update()
    },
    { signal: stop.signal },
  )
  void showToken()
  void sessions.update()

  return {
    main: [token.element, ordersView(session), thief, accountView(session)],
    beside: sessions.element,
    close: () => {
      clearInterval(timer)
      stop.abort()
    },
  }
}
