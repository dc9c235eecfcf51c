export interface Scene {
  who: 'phone' | 'thief'
  act: 'sign in' | 'copy' | 'refresh' | 'orders'
  /** Requests, one after the other. */
  times: number
  /** What their answers have to be for the play to go on. */
  expected: number
  title: string
  text: string
  /** For the log of requests, by status, where its own words are not enough. */
  words?: Record<number, string>
}

export const scenes: readonly Scene[] = [
  {
    who: 'phone',
    act: 'sign in',
    times: 1,
    expected: 200,
    title: 'Your phone signs in',
    text: 'A session of its own: see the list of sessions. An app has no HttpOnly cookie: it keeps refresh token 1 in its storage.',
  },
  {
    who: 'thief',
    act: 'copy',
    times: 0,
    expected: 200,
    title: 'Somebody copies token 1',
    text: 'From a backup, a log, a borrowed phone. A copy leaves no trace, and nobody notices anything.',
  },
  {
    who: 'phone',
    act: 'refresh',
    times: 2,
    expected: 200,
    title: 'The phone goes on as always',
    text: 'Twice it exchanges its refresh token. Each is good for one exchange, so token 3 is the current one now.',
  },
  {
    who: 'thief',
    act: 'refresh',
    times: 1,
    expected: 401,
    title: 'The thief uses the copy',
    text: 'Token 1 is authentic, but it was exchanged long ago. So two parties have had it. The whole family ends at this moment.',
    words: { 401: 'Presented a token that had been exchanged: the session has ended' },
  },
  {
    who: 'phone',
    act: 'refresh',
    times: 1,
    expected: 401,
    title: 'The phone tries its own token',
    text: 'Token 3 was good a moment ago. The answer is the same 401 that the thief got, and says nothing more.',
    words: { 401: 'Its session has ended: it has to sign in again' },
  },
  {
    who: 'phone',
    act: 'orders',
    times: 1,
    expected: 401,
    title: 'The phone asks for its orders',
    text: 'Its access token has not expired, and the orders service asks nobody about it. But it follows the revocation feed, and has heard of the end of the session.',
    words: { 401: 'The service has heard that the session has ended' },
  },
]
