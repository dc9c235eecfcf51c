import { createRoot, hydrateRoot } from 'react-dom/client'
import { createClient } from '../../../sdk/browser/src/index.ts'
import { app, rendered } from './app.ts'

interface Place {
  childNodes: { length: number }
}

/** Of the page that the test serves. */
const page = globalThis as unknown as { document: { querySelector(selector: string): Place }; issuer: string }

const auth = createClient({ issuer: page.issuer })
const faults: string[] = []
const place = page.document.querySelector('#root') as never
const render = () => {
  const created = createRoot(place)
  created.render(app(auth))
  return created
}
let root =
  (place as Place).childNodes.length > 0
    ? hydrateRoot(place, app(auth), { onRecoverableError: (error) => faults.push(String(error)) })
    : render()
Object.assign(page, {
  auth,
  rendered,
  faults,
  /** Everything is unmounted and mounted again. */
  again: () => {
    root.unmount()
    root = render()
  },
})
