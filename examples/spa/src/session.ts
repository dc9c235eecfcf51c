import type { Client, User } from '@claviger/browser'
import type { Activity } from './activity.ts'
import type { DemoConfig } from './config.ts'

/** What the panels of a signed-in page work with. */
export interface Session {
  client: Client
  config: DemoConfig
  activity: Activity
  /** Name of this tab. */
  tab: string
  user: User
}
