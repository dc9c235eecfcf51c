/** The demo's server plays the phone and the thief, with tokens of its own: this page could not hold any. */
export interface Outcome {
  status: number
  code?: string
  retryAfter?: number
  /** Abbreviated. */
  token?: Token
}

export interface Token {
  number: number
  hint: string
  /** Of the access token that came with it. */
  accessHint: string
}

export interface Begun extends Outcome {
  id?: string
  sessionId?: string
}

/**
 * @param bound whether the phone binds its session to a key
 * @throws TypeError if the server of this page does not answer.
 */
export const begin = (email: string, password: string | undefined, bound: boolean): Promise<Begun> =>
  post('/play', { email, bound, ...(password ? { password } : {}) })

export const move = (id: string, who: 'phone' | 'thief', act: 'refresh' | 'forge' | 'orders'): Promise<Outcome> =>
  post(`/play/${id}/${who}/${act}`, {})

async function post<Reply extends Outcome>(path: string, body: object): Promise<Reply> {
  const reply = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!reply.ok) throw new TypeError(`the play is over: ${reply.status}`)
  return (await reply.json()) as Reply
}
