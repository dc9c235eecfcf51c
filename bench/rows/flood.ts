import { heldRow } from '../floods/held-row.ts'
import { routeFloods } from '../floods/routes.ts'
import { signInFlood } from '../floods/sign-ins.ts'
import type { Line } from '../line.ts'
import type { Stage } from '../stage.ts'

/** What those who are signed in already notice of what strangers do. */
export async function flood(stage: Stage): Promise<Line[]> {
  return [...(await signInFlood(stage)), ...(await routeFloods(stage)), await heldRow(stage)]
}
