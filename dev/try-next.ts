/** What a newcomer can paste into a terminal once the server listens. */
export function tryNext({ url, metricsUrl }: { url: string; metricsUrl: string }): string {
  const post = (path: string, body: string): string =>
    `curl -s ${url}${path} -H 'content-type: application/json' -d ${body}`
  const account = '"email":"ada@example.com","password":"seven-green-lanterns-42"'
  const field = (name: string): string => `sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/'`
  return `
Claviger listens on ${url} (metrics: ${metricsUrl}). What to try next, in another terminal:

  # make an account, sign in, and keep the refresh token
  ${post('/register', `'{${account}}'`)}
  TOKEN=$(${post('/login', `'{${account},"client_id":"native"}'`)} | ${field('refresh_token')})

  # trade it for a new access token and a new refresh token
  ${post('/refresh', `"{\\"refresh_token\\":\\"$TOKEN\\"}"`)}

  # the public keys that verify access tokens, offline and in any language
  curl -s ${url}/.well-known/jwks.json

Ctrl-C stops the server. Accounts and keys stay in .claviger/; delete that folder to start over.
`
}
