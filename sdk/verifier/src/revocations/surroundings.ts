import type { Fetch } from '../download.ts'
import type { Timing } from '../key-source.ts'
import type { Moment } from './age.ts'
import type { Credentials } from './credentials.ts'
import type { OpenMessage } from './open-message.ts'
import type { View } from './view.ts'

/** What the parts of the subscription share. */
export interface Surroundings extends Timing {
  issuer: string
  /** The issuer's URL without a slash at its end. */
  base: string
  credentials: Credentials
  fetch: Fetch
  timeoutMs: number
  view: View
  open: OpenMessage
  moment(): Moment
  /** Hears of what went wrong. Must not throw. */
  report(what: string, cause: unknown): void
}
