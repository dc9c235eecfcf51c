import type { DemoConfig } from './config.ts'

export type Tone = 'good' | 'quiet' | 'bad'

interface Words {
  tone: Tone
  text: string
}

/** What the answer to a request means, by `METHOD path status`. */
const answers: Record<string, Words> = {
  'POST /login 200': { tone: 'good', text: 'Signed in' },
  'POST /login 401': { tone: 'bad', text: 'Sign-in refused: wrong e-mail address or password' },
  'POST /login 403': { tone: 'bad', text: 'Sign-in refused: the address is not confirmed yet' },
  'POST /register 201': { tone: 'good', text: 'Made an account' },
  'POST /register 202': { tone: 'good', text: 'Mailed to the address, whether or not it has an account' },
  'POST /register 400': { tone: 'bad', text: 'Made no account: the password or the address will not do' },
  'POST /register 403': { tone: 'bad', text: 'Registration is closed here' },
  'POST /register 409': { tone: 'bad', text: 'There is an account with this address' },
  'POST /password/forgot 202': { tone: 'quiet', text: 'Asked for a mail: there is one if there is an account' },
  'POST /password/reset 204': { tone: 'good', text: 'Set a new password, and ended every session' },
  'POST /password/reset 400': { tone: 'bad', text: 'Set no password: the link, the code or the password will not do' },
  'POST /password 204': { tone: 'good', text: 'Changed the password, and ended all other sessions' },
  'POST /password 400': { tone: 'bad', text: 'Changed no password: the new one will not do' },
  'POST /password 401': { tone: 'bad', text: 'Changed no password: the present one is wrong' },
  'POST /email/resend 202': { tone: 'quiet', text: 'Asked for a mail: there is one if there is something to confirm' },
  'POST /email/verify 204': { tone: 'good', text: 'Confirmed the address of an account' },
  'POST /email/verify 400': { tone: 'bad', text: 'Confirmed nothing: the link, the code or the password will not do' },
  'POST /email 202': { tone: 'good', text: 'Asked for another address: a mail goes there' },
  'POST /email 400': { tone: 'bad', text: 'Asked for another address: it will not do' },
  'POST /email 401': { tone: 'bad', text: 'Asked for another address: the password is wrong' },
  'POST /email/confirm 204': { tone: 'good', text: 'Changed the address of the account' },
  'POST /email/confirm 400': { tone: 'bad', text: 'Changed no address: the link or the code will not do' },
  'POST /email/undo 204': { tone: 'good', text: 'Took the change of address back, and ended every session' },
  'POST /email/undo 400': { tone: 'bad', text: 'Took nothing back: the link will not do' },
  'POST /invitations/accept 201': { tone: 'good', text: 'Made the account of somebody who was invited' },
  'POST /invitations/accept 400': {
    tone: 'bad',
    text: 'Made no account: the link, the code or the password will not do',
  },
  'POST /refresh 200': { tone: 'good', text: 'Exchanged the refresh token for a new pair' },
  'POST /refresh 401': { tone: 'quiet', text: 'Nobody is signed in here' },
  'POST /logout 204': { tone: 'quiet', text: 'Signed out, in all tabs' },
  'GET /sessions 200': { tone: 'quiet', text: 'Looked up the sessions' },
  'DELETE /sessions 204': { tone: 'good', text: 'Ended all other sessions' },
  'DELETE /sessions/… 204': { tone: 'good', text: 'Ended a session' },
  'GET /orders 200': { tone: 'quiet', text: 'The service verified the token: own orders' },
  'POST /orders 201': { tone: 'good', text: 'The service verified the token: order placed' },
  'GET /admin/orders 200': { tone: 'quiet', text: 'The service saw the role admin: all orders' },
  'GET /admin/orders 403': { tone: 'bad', text: 'The service misses the role admin' },
}

/** A request and its answer in a person's words. @param status undefined if no answer came */
export function describe(method: string, url: URL, status: number | undefined, config: DemoConfig): Words {
  const server = url.origin === new URL(config.orders).origin ? 'the orders service' : 'Claviger'
  if (status === undefined) return { tone: 'bad', text: `No answer from ${server}` }
  const path = url.pathname.replace(/^\/sessions\/.+/, '/sessions/…')
  const known = answers[`${method} ${path} ${status}`]
  if (known) return known
  if (status === 401) return { tone: 'bad', text: `The token is no longer good for ${server}` }
  if (status === 429) return { tone: 'bad', text: 'Too many requests: asked to wait' }
  if (status >= 500) return { tone: 'bad', text: `${capital(server)} cannot answer at the moment` }
  return { tone: status < 400 ? 'quiet' : 'bad', text: `${capital(server)} answered ${status}` }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
