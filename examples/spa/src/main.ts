import { type Cause, createClient } from '@claviger/browser'
import { takeToken } from '@claviger/browser/account'
import { createActivity } from './activity.ts'
import { loadConfig } from './config.ts'
import { explain } from './errors.ts'
import { signedIn } from './signed-in.ts'
import { nameOfTab } from './tab.ts'
import { activityView } from './views/activity.ts'
import { inboxView } from './views/inbox.ts'
import { ownPage } from './views/own-pages.ts'
import { shell } from './views/shell.ts'
import { signInView } from './views/sign-in.ts'
import { welcomeView } from './views/welcome.ts'

// Before anything else runs, so that nothing else sees the token of a link in a mail.
const token = takeToken()
// A link that leads to the page that is open changes the fragment alone.
addEventListener('hashchange', () => {
  if (location.hash.startsWith('#token=')) location.reload()
})

const config = await loadConfig()
const tab = nameOfTab()
document.title = `${tab} · Claviger demo`
const activity = createActivity(tab, config)

// All that an application needs. `fetch` is here only because this one shows every request.
const client = createClient({
  issuer: config.issuer,
  resources: [config.orders],
  fetch: activity.watchedFetch,
})

/** Why somebody who was signed in is not any more, unless they know. */
const reasons: Partial<Record<Cause, string>> = {
  'other-tab': 'You have signed out in another tab.',
  expired: 'You were away for long. Sign in again.',
  ended:
    'This session was ended: on Claviger’s page, in a list of sessions, by a new password, or because a token was stolen.',
}

const page = shell({ tab, signOut }, activityView(activity))
document.querySelector('#app')?.append(page.element)
const inbox = config.inbox ? [inboxView(client)] : []
const own = ownPage(client, location.pathname, token)

/** The panels of the user who is signed in now; undefined: the form. */
let open: { userId: string; close(): void } | undefined

function render(notice?: string): void {
  const first = page.main.className === ''
  const { user, cause } = client
  page.showUser(user)
  if (own) return
  if (user && open?.userId === user.id) return
  open?.close()
  open = undefined
  if (user) {
    const panels = signedIn({ client, config, activity, tab, user })
    open = { userId: user.id, close: panels.close }
    page.show('signed-in', panels.main, [panels.beside, ...inbox])
  } else {
    const panels = [welcomeView(config), signInView(client, config, notice ?? (cause && reasons[cause]))]
    page.show('signed-out', panels, inbox)
  }
  // The panel that had the focus is gone.
  if (!first) page.main.focus({ preventScroll: true })
}

async function signOut(): Promise<void> {
  // Signed out here in any case. Without network the issuer is told later, which is the client’s business.
  await client.logout().catch(() => {})
}

if (own) page.show('own', [own], inbox)
else page.main.textContent = 'Looking for a session…'
client.onChange(() => render())
// The state says that there is no answer; this, why.
client.ready.catch((error: unknown) => render(explain(error)))
