import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { addClient } from '../clients/add.ts'
import { listClients } from '../clients/list.ts'
import type { Fault } from '../clients/refused.ts'
import { SECRET_LIFETIME_MS } from '../clients/secrets.ts'
import { registrationOf } from '../clients/stated.ts'
import { audienceWarnings } from './audiences.ts'
import { command } from './command.ts'
import { EXIT, Failure } from './exit.ts'
import { type Io, type Paint, pairs } from './terminal.ts'
import { when } from './times.ts'

const text = { type: 'string' } as const
const several = { type: 'string', multiple: true } as const

export const add = command({
  name: 'clients add',
  usage:
    '<name> --type service|browser|native [--scope SCOPE]… [--audience AUDIENCE]… [--origin ORIGIN]… [--auth METHOD] [further options]',
  summary: 'register a client, and print its id and its secret',
  details: `Servers know it within five seconds. The secret of a service is shown here and never again.

  --type service    a program that acts for itself, by /oauth/token
  --type browser    pages: people sign in, and the refresh token is in a cookie of this client
  --type native     applications: people sign in, and the refresh token is in the body

Options may be repeated, or hold several values with commas or blanks between them.

  --scope SCOPE          what it may ask for; without it a service has none, and others have those of SCOPES. Clients that people
                         sign in with have account besides
  --audience AUDIENCE    who accepts its tokens, the default first; without it those of AUDIENCE
  --origin ORIGIN        pages of a browser client, web views of a native one
  --access-token-seconds N
                         how long its access tokens are good; without it ACCESS_TOKEN_SECONDS
  --session-idle-seconds N, --session-max-seconds N, --remember-idle-seconds N, --remember-max-seconds N
                         sessions, as the settings of these names say of others
  --dpop required        its tokens are bound to a key of its own (RFC 9449): without the proof of one, nobody signs in with it, and a
                         service gets no token. Without this option, whoever sends a proof gets bound tokens
  --states-visitor-address
                         of a service that is a site and renders on its server: it is believed about the address of the visitor
                         for whom it calls. Goes with --auth client_secret_basic

How a service proves itself:

  --auth client_secret_basic    by a secret in the header Authorization; the default
  --auth client_secret_post     by a secret in the form
  --auth private_key_jwt        by a JWT that it signs
  --auth workload               by a JWT that another issuer has given it

  --jwks FILE               its public keys, a JWK Set or one JWK; - reads standard input
  --jwks-uri URL            where it publishes them (https)
  --workload-issuer URL     whose tokens they are (https)
  --workload-subject SUB    their sub
  --workload-claim NAME=VALUE
                            what else they must say; may be repeated
  --workload-jwks-uri URL   where that issuer publishes its keys, if its metadata does not say`,
  takes: [1, 1],
  options: {
    type: text,
    scope: several,
    audience: several,
    origin: several,
    auth: text,
    'states-visitor-address': { type: 'boolean' },
    jwks: text,
    'jwks-uri': text,
    'workload-issuer': text,
    'workload-subject': text,
    'workload-claim': several,
    'workload-jwks-uri': text,
    'session-idle-seconds': text,
    'session-max-seconds': text,
    'remember-idle-seconds': text,
    'remember-max-seconds': text,
    'access-token-seconds': text,
    dpop: text,
  },
  run: async ({ io, open, paint }, [name = ''], values) => {
    const registration = registrationOf({
      name,
      type: values.type,
      scopes: split(values.scope),
      audiences: split(values.audience),
      origins: split(values.origin),
      auth: values.auth,
      statesVisitorAddress: values['states-visitor-address'],
      jwks: values.jwks === undefined ? undefined : await readKeys(io, values.jwks),
      jwksUri: values['jwks-uri'],
      issuer: values['workload-issuer'],
      subject: values['workload-subject'],
      claims: values['workload-claim'],
      workloadJwksUri: values['workload-jwks-uri'],
      sessionIdleSeconds: values['session-idle-seconds'],
      sessionMaxSeconds: values['session-max-seconds'],
      rememberIdleSeconds: values['remember-idle-seconds'],
      rememberMaxSeconds: values['remember-max-seconds'],
      accessTokenSeconds: values['access-token-seconds'],
      dpop: values.dpop,
    })
    const opened = await open()
    const operation = opened.operation()
    const { clientId, secret } = await addClient(opened, operation, registration)
    const clients = await listClients(opened)
    const added = clients.filter(({ id }) => id === clientId)
    for (const warning of added.flatMap((client) => audienceWarnings(client, clients, opened.config)))
      io.stderr.write(`claviger: registered, but ${warning}\n`)
    return {
      json: { client_id: clientId, ...(secret === undefined ? {} : { client_secret: secret }) },
      text: `Registered ${paint('bold', registration.name)}.\n\n${credentials(clientId, secret, operation.now, paint)}`,
    }
  },
})

/** What somebody who configures the client copies. */
export function credentials(clientId: string, secret: string | undefined, now: Date, paint: Paint): string {
  if (secret === undefined) return pairs([['client_id', clientId]], paint)
  const lines = pairs(
    [
      ['client_id', clientId],
      ['client_secret', secret],
    ],
    paint,
  )
  const until = when(new Date(now.getTime() + SECRET_LIFETIME_MS), now)
  return `${lines}\n\nThe secret is not shown again. It is good until ${until}.`
}

/** Values that were given several times, with commas or with blanks between them. */
function split(stated: readonly string[] | undefined): string[] | undefined {
  return stated?.flatMap((each) => each.split(/[\s,]+/).filter((item) => item !== ''))
}

async function readKeys(io: Io, file: string): Promise<string> {
  try {
    return file === '-' ? await readAll(io.stdin) : await readFile(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new Failure(code === 'ENOENT' ? EXIT.notFound : EXIT.failed, `the file of --jwks cannot be read (${code})`)
  }
}

/** How each part is stated here. */
const OPTIONS: Record<Fault['about'], string> = {
  name: 'the name',
  type: '--type',
  scopes: '--scope',
  audiences: '--audience',
  origins: '--origin',
  auth: '--auth',
  statesVisitorAddress: '--states-visitor-address',
  jwks: '--jwks',
  jwksUri: '--jwks-uri',
  issuer: '--workload-issuer',
  subject: '--workload-subject',
  claims: '--workload-claim',
  workloadJwksUri: '--workload-jwks-uri',
  sessionIdleSeconds: '--session-idle-seconds',
  sessionMaxSeconds: '--session-max-seconds',
  rememberIdleSeconds: '--remember-idle-seconds',
  rememberMaxSeconds: '--remember-max-seconds',
  accessTokenSeconds: '--access-token-seconds',
  dpop: '--dpop',
}

export function wordFault({ about, message }: Fault): string {
  return `${OPTIONS[about]} ${message}`
}
