export type Act = 'sign in' | 'refresh' | 'forge' | 'orders'

export interface Scene {
  who: 'phone' | 'thief'
  /** Requests, one after the other, with what they have to be answered for the play to go on. None: the thief copies. */
  asks: readonly { act: Act; expected: number }[]
  title: string
  text: string
  /** For the log of requests, by status, where its own words are not enough. */
  words?: Record<number, string>
}

/** What each act sends. */
export const requests: Record<Act, { method: string; path: string }> = {
  'sign in': { method: 'POST', path: '/login' },
  refresh: { method: 'POST', path: '/refresh' },
  // With a proof by a key of the thief's.
  forge: { method: 'POST', path: '/refresh' },
  orders: { method: 'GET', path: '/orders' },
}

export interface Script {
  /** Of the class of its element. */
  name: 'bearer' | 'bound'
  /** Above the picture. */
  heading: string
  /** On the button. */
  play: string
  scenes: readonly Scene[]
  moral: string
  /** Before the command that tells operators more. */
  ending: string
}

/** A copied refresh token is noticed, and the session ends for both. */
const bearer: Script = {
  name: 'bearer',
  heading: 'Whoever has the token is the owner',
  play: 'Play the thief',
  scenes: [
    {
      who: 'phone',
      asks: [{ act: 'sign in', expected: 200 }],
      title: 'Your phone signs in',
      text: 'A session of its own: see the list of sessions. An app has no HttpOnly cookie: it keeps refresh token 1 in its storage.',
    },
    {
      who: 'thief',
      asks: [],
      title: 'Somebody copies token 1',
      text: 'From a backup, a log, a borrowed phone. A copy leaves no trace, and nobody notices anything.',
    },
    {
      who: 'phone',
      asks: [
        { act: 'refresh', expected: 200 },
        { act: 'refresh', expected: 200 },
      ],
      title: 'The phone goes on as always',
      text: 'Twice it exchanges its refresh token. Each is good for one exchange, so token 3 is the current one now.',
    },
    {
      who: 'thief',
      asks: [{ act: 'refresh', expected: 401 }],
      title: 'The thief uses the copy',
      text: 'Token 1 is authentic, but it was exchanged long ago. So two parties have had it. The whole family ends at this moment.',
      words: { 401: 'Presented a token that had been exchanged: the session has ended' },
    },
    {
      who: 'phone',
      asks: [{ act: 'refresh', expected: 401 }],
      title: 'The phone tries its own token',
      text: 'Token 3 was good a moment ago. The answer is the same 401 that the thief got, and says nothing more.',
      words: { 401: 'Its session has ended: it has to sign in again' },
    },
    {
      who: 'phone',
      asks: [{ act: 'orders', expected: 401 }],
      title: 'The phone asks for its orders',
      text: 'Its access token has not expired, and the orders service asks nobody about it. But it follows the revocation feed, and has heard of the end of the session.',
      words: { 401: 'The service has heard that the session has ended' },
    },
  ],
  moral: 'Who is who, nobody can tell. That there are two, everybody can.',
  ending:
    'The thief is out. The owner signs in again, with a password that the thief has not. This browser’s session is another family: it goes on. An operator can ask why:',
}

/** With DPoP the copies are worth nothing, and the owner goes on. */
const bound: Script = {
  name: 'bound',
  heading: 'With DPoP it takes the key, too',
  play: 'Play the thief against DPoP',
  scenes: [
    {
      who: 'phone',
      asks: [{ act: 'sign in', expected: 200 }],
      title: 'Your phone makes a key, and signs in',
      text: 'The private key is in the phone’s hardware: it can sign, but nobody can read it. With the sign-in comes a proof signed by it, so Claviger binds the session to this key.',
    },
    {
      who: 'thief',
      asks: [],
      title: 'Somebody copies all that can be copied',
      text: 'Refresh token 1 and the access token. The key is not among it.',
    },
    {
      who: 'thief',
      asks: [{ act: 'refresh', expected: 400 }],
      title: 'The thief uses the refresh token',
      text: 'This time he is even first: the phone has not used token 1 yet. But a request for this session needs a proof by its key. The token is not used up, and the session does not end.',
      words: { 400: 'Presented a bound token without a proof: refused, and nothing ends' },
    },
    {
      who: 'thief',
      asks: [{ act: 'forge', expected: 400 }],
      title: 'He makes a key of his own',
      text: 'The proof is a good one, but by another key than that of the sign-in. Claviger notes both attempts: somebody has a copy.',
      words: { 400: 'Presented a bound token with a key of his own: refused, and nothing ends' },
    },
    {
      who: 'thief',
      asks: [{ act: 'orders', expected: 401 }],
      title: 'He tries the access token',
      text: 'It names the key, too (cnf in its claims). The orders service sees that, and wants a proof for this very request.',
      words: { 401: 'Showed a bound access token without a proof: the service refuses' },
    },
    {
      who: 'phone',
      asks: [
        { act: 'refresh', expected: 200 },
        { act: 'orders', expected: 200 },
      ],
      title: 'The phone goes on',
      text: 'It signs a proof for each request, exchanges token 1, and gets its orders. Its owner has noticed nothing.',
    },
  ],
  moral: 'The thief has the tokens, but not the key. So it is plain who is who.',
  ending:
    'Nobody has to sign in again. Operators find the attempts in the audit trail (refresh.dpop_refused), and can ask for the session:',
}

export const scripts: readonly Script[] = [bearer, bound]
