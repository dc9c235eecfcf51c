import type { Config } from '../src/config/config.ts'
import type { RunningServer } from '../src/serve.ts'

/** What a newcomer can read, and paste into a terminal, once the server listens. No comments in it: zsh takes none at its prompt. */
export function tryNext({ config, url, metricsUrl }: Pick<RunningServer, 'config' | 'url' | 'metricsUrl'>): string {
  const { ISSUER, ALLOWED_ORIGINS, AUDIENCE } = config
  const base = isSameListener(ISSUER, url) ? ISSUER : url
  const post = (path: string, body: string): string =>
    `curl -s ${base}${path} -H 'content-type: application/json' -d ${body}`
  const account = '"email":"ada@example.com","password":"seven-green-lanterns-42"'
  const field = (name: string): string => `sed 's/.*"${name}":"\\([^"]*\\)".*/\\1/'`
  const made = post('/register', `'{${account}}'`)
  const register =
    config.EMAIL_VERIFICATION === 'off'
      ? `Make an account, sign in, and keep the refresh token:

  ${made}`
      : `Make an account; where mails leave this machine, with an address of your own:

  ${made}

Prove its address with the code that was mailed, in place of 12345678; then sign in, and keep the refresh token:

  ${post('/email/verify', `'{${account},"code":"12345678"}'`)}`
  const lines = [
    ['issuer', base === ISSUER ? ISSUER : `${ISSUER} (this server listens on ${url})`],
    config.localhostPages
      ? ['pages', 'http://localhost, on any port; name others in ALLOWED_ORIGINS']
      : ['pages', `${ALLOWED_ORIGINS.join(', ')}, as ALLOWED_ORIGINS says`],
    AUDIENCE.join() === ISSUER
      ? ['tokens', 'for the issuer itself; name services in AUDIENCE']
      : ['tokens', `for ${AUDIENCE.join(', ')}, as AUDIENCE says`],
    config.mail === 'console'
      ? ['mail', 'not sent: this log has each, with its link and code; set SMTP_URL to send it']
      : ['mail', `from ${config.MAIL_FROM}, by the server in SMTP_URL`],
    ...(config.PAGES === 'on' ? [['people', `${ISSUER}/account/${entrance(config)}`]] : []),
    ...(config.DOCS ? [['API', `${base}/docs`]] : []),
    ['metrics', `${metricsUrl}/metrics`],
  ]
  return `
Claviger is ready.

${lines.map(([name = '', value]) => `  ${name.padEnd(7)}  ${value}`).join('\n')}

What to try next, in another terminal. ${register}
  TOKEN=$(${post('/login', `'{${account},"client_id":"native"}'`)} | ${field('refresh_token')})

Trade it for a new access token and a new refresh token:

  ${post('/refresh', `"{\\"refresh_token\\":\\"$TOKEN\\"}"`)}

The public keys that verify access tokens, offline and in any language:

  curl -s ${base}/.well-known/jwks.json

Ctrl-C stops the server. Accounts and keys stay in .claviger/; delete that folder to start over.
`
}

/** The page that a visitor without an account begins with. */
function entrance({ REGISTRATION }: Pick<Config, 'REGISTRATION'>): string {
  return REGISTRATION === 'open' ? 'register' : 'sign-in'
}

/** Then the issuer is the address to try: to a browser 127.0.0.1 and localhost are two sites, of which one keeps no cookie. */
function isSameListener(issuer: string, url: string): boolean {
  const [stated, listening] = [new URL(issuer), new URL(url)]
  return (
    ['localhost', '127.0.0.1', '[::1]', listening.hostname].includes(stated.hostname) && stated.port === listening.port
  )
}
