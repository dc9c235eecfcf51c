import type { ClientRecord } from '../clients/list.ts'
import type { Config } from '../config/config.ts'
import { suggest } from './suggest.ts'
import { printable } from './terminal.ts'

/**
 * Warns of audiences of a service that no token of a person has: introspection tells a service only of tokens that are for it. Tokens
 * for such audiences are issued to services all the same, so one that has scopes to ask for is taken to want them, unless the
 * name seems to be misspelt.
 * @param clients all that there are.
 */
export function audienceWarnings(
  { name, type, scopes, audiences }: Pick<ClientRecord, 'name' | 'type' | 'scopes' | 'audiences'>,
  clients: readonly ClientRecord[],
  { AUDIENCE }: Pick<Config, 'AUDIENCE'>,
): string[] {
  if (type !== 'service' || !audiences) return []
  const people = clients.filter((client) => client.type !== 'service' && !client.disabledAt)
  const known = [...new Set(people.flatMap((client) => client.audiences ?? AUDIENCE))]
  return audiences
    .filter((audience) => !known.includes(audience))
    .flatMap((audience) => {
      const meant = suggest([audience], known)
      if (scopes && scopes.length > 0 && meant === undefined) return []
      const question = meant === undefined ? '' : `. Did you mean “${meant}”?`
      return `no person’s token is for “${audience}”, which neither AUDIENCE of this terminal lists nor a client that people sign in with: “${printable(name)}” cannot introspect them by it${question}`
    })
}
