import type { Clients } from '../clients/clients.ts'
import type { Limits } from '../http/limits/limits.ts'
import type { Endpoint } from '../http/requests/endpoint.ts'
import type { Semaphore } from '../semaphore.ts'
import { accountPages } from './account/routes.ts'
import { addressPages } from './address/routes.ts'
import { type Asset, logo, script, stylesheet } from './brand.ts'
import { mailboxPages } from './mailbox/routes.ts'
import { signInPages } from './sign-in/routes.ts'
import { createVisits } from './visits/routes.ts'

type Needs = Parameters<typeof createVisits>[0] &
  Parameters<typeof signInPages>[0] &
  Parameters<typeof accountPages>[0] &
  Parameters<typeof mailboxPages>[0] &
  Parameters<typeof addressPages>[0]

/** The pages that people see. */
export function pageEndpoints(deps: Needs, parts: { clients: Clients; limits: Limits; semaphore: Semaphore }) {
  const visits = createVisits(deps, parts)
  return {
    ...signInPages(deps, visits, parts),
    ...accountPages(deps, visits, parts),
    ...mailboxPages(deps, visits, parts),
    ...addressPages(deps, visits, parts),
    script: asset(script()),
    style: asset(stylesheet(deps.config)),
    logo: asset(logo(deps.config)),
  }
}

/** A file from memory. The policy that all replies have keeps scripts in a logo from running. */
function asset({ type, body }: Asset): Endpoint {
  return { schema: { hide: true }, handler: async (_request, reply) => reply.type(type).send(body) }
}
