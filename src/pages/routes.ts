import { Type } from 'typebox'
import type { Clients } from '../clients/clients.ts'
import type { Config } from '../config/config.ts'
import type { Limits } from '../http/limits/limits.ts'
import type { Endpoint } from '../http/requests/endpoint.ts'
import { linkTo } from '../outbox/mail/links.ts'
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

/** Where password managers look for the page that changes a password, once they know that it has leaked. */
export const CHANGE_PASSWORD = '/.well-known/change-password'

/**
 * Leads password managers on (W3C, A Well-Known URL for Changing Passwords), to the page that mails would lead to.
 * @returns undefined if there is no such page: a redirect to nowhere would hide that from them.
 */
export function passwordPointer(config: Pick<Config, 'ISSUER' | 'APP_URL' | 'PAGES'>): Endpoint | undefined {
  if (config.PAGES === 'off' && config.APP_URL === undefined) return undefined
  const location = linkTo(config, 'password')
  return {
    schema: {
      tags: ['Account'],
      summary: 'Where a password is changed',
      description: 'For password managers: leads to the page on which people change their password.',
      response: {
        303: Type.Null({
          description: 'The page',
          headers: { Location: Type.String({ description: 'Its address' }) },
        }),
      },
    },
    handler: async (_request, reply) => reply.code(303).header('location', location).send(),
  }
}
