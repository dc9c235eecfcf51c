import { type Adapter, call, form, json } from './adapter.ts'
import { authorization, type Client, clientGrant, grantedIn, named, refreshGrant } from './oauth.ts'

export interface KeycloakOptions {
  realm: string
  /** With direct access grants; for client credentials with a secret and a service account. */
  client: Client
  /** Of the realm "master", to make the users. */
  admin: { name: string; password: string }
}

export function keycloak(url: URL, { realm, client, admin }: KeycloakOptions): Adapter {
  const path = `/realms/${encodeURIComponent(realm)}/protocol/openid-connect/token`
  const logIn = async (): Promise<string> => {
    const fields = { grant_type: 'password', client_id: 'admin-cli', username: admin.name, password: admin.password }
    const text = await call(url, form('/realms/master/protocol/openid-connect/token', fields))
    return (JSON.parse(text) as { access_token: string }).access_token
  }
  return {
    name: 'Keycloak',
    url,
    // The administrator's token lasts a minute: one per user costs less than to know when it ends.
    createUser: async ({ email, password }) => {
      const user = {
        username: email,
        email,
        emailVerified: true,
        enabled: true,
        // An account without a name may not sign in before it has given one.
        firstName: 'Bench',
        lastName: 'User',
        credentials: [{ type: 'password', value: password, temporary: false }],
      }
      const headers = { authorization: `Bearer ${await logIn()}` }
      await call(url, json(`/admin/realms/${encodeURIComponent(realm)}/users`, user, headers))
    },
    signIn: ({ email, password }) =>
      form(path, { grant_type: 'password', username: email, password, ...named(client) }, authorization(client)),
    refresh: refreshGrant(path, client),
    ...(client.secret === undefined ? {} : { clientCredentials: clientGrant(path, client) }),
    credentialIn: grantedIn,
  }
}
