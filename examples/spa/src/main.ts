import { createClient } from '@claviger/browser'
import { createActivity } from './activity.ts'
import { loadConfig } from './config.ts'
import { explain } from './errors.ts'
import { signedIn } from './signed-in.ts'
import { nameOfTab } from './tab.ts'
import { activityView } from './views/activity.ts'
import { shell } from './views/shell.ts'
import { signInView } from './views/sign-in.ts'
import { welcomeView } from './views/welcome.ts'

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

let leaving = false
const page = shell({ tab, signOut }, activityView(activity))
document.querySelector('#app')?.append(page.element)

/** The panels of the user who is signed in now; undefined: the form. */
let open: { userId: string; close(): void } | undefined

function render(notice?: string): void {
  const first = page.main.className === ''
  const { user } = client
  page.showUser(user)
  if (user && open?.userId === user.id) return
  const had = open !== undefined
  open?.close()
  open = undefined
  if (user) {
    const panels = signedIn({ client, config, activity, tab, user })
    open = { userId: user.id, close: panels.close }
    page.show('signed-in', panels.main, panels.beside)
  } else {
    const why = had && !leaving ? 'You are signed out: in another tab, or because the session has ended.' : notice
    page.show('signed-out', [welcomeView(), signInView(client, config, why)])
  }
  // The panel that had the focus is gone.
  if (!first) page.main.focus({ preventScroll: true })
  leaving = false
}

async function signOut(): Promise<void> {
  leaving = true
  // Signed out here in any case. Without network the issuer is told later, which is the client’s business.
  await client.logout().catch(() => {})
}

page.main.textContent = 'Looking for a session…'
const found = client.ready.then(
  () => undefined,
  (error: unknown) => explain(error),
)
render(await found)
client.onChange(() => render())
