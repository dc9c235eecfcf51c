/** The demo's server plays the phone and the thief, with tokens of its own: this page could not hold any. */
export interface Outcome {
  status: number
  code?: string
  retryAfter?: number
  /** Abbreviated. */
  token?: { number: number; hint: string }
}

export interface Begun extends Outcome {
  id?: string
  sessionId?: string
}

/** @throws TypeError if the server of this page does not answer. */
export const begin = (email: string, password: string | undefined): Promise<Begun> =>
  post('/play', { email, ...(password ? { password } : {}) })

export const move = (id: string, who: 'phone' | 'thief' | 'orders'): Promise<Outcome> => post(`/play/${id}/${who}`, {})

async function post<Reply extends Outcome>(path: string, body: object): Promise<Reply> {
  const reply = await fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!reply.ok) throw new TypeError(`the play is over: ${reply.status}`)
  return (await reply.json()) as Reply
}
