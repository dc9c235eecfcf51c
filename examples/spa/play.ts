import type { IncomingMessage } from 'node:http'
import type { DemoAccount } from './server.ts'
import {
  type Address,
  type Outcome,
  type Play,
  phoneOrders,
  phoneRefreshes,
  signPhoneIn,
  thiefForges,
  thiefOrders,
  thiefRefreshes,
} from './thief.ts'

interface Answer {
  status: number
  body: object
}

const MAX_BODY = 4096
const MAX_PLAYS = 100

/**
 * POST /play {email, password?, bound?}, then /play/{id}/{who}/{act}: one move each. The tokens stay here; the page is shown
 * their first and last letters.
 */
export function playRoutes({ issuer, orders }: { issuer: Address; orders: Address }, demo: DemoAccount | undefined) {
  const plays = new Map<string, Play>()
  const moves: Record<string, (play: Play) => Promise<Outcome>> = {
    'phone/refresh': (play) => phoneRefreshes(issuer, play),
    'phone/orders': (play) => phoneOrders(orders, play),
    'thief/refresh': (play) => thiefRefreshes(issuer, play),
    'thief/forge': (play) => thiefForges(issuer, play),
    'thief/orders': (play) => thiefOrders(orders, play),
  }

  return async (request: IncomingMessage, path: string): Promise<Answer> => {
    // Only the page itself: another site's form or script can send neither this type nor this header.
    const site = request.headers['sec-fetch-site']
    if (request.headers['content-type'] !== 'application/json' || (site !== undefined && site !== 'same-origin')) {
      return { status: 403, body: {} }
    }
    const text = await readText(request)
    const [, , id, ...act] = path.split('/')
    try {
      if (id === undefined) return await begin(text)
      const play = plays.get(id)
      const move = Object.hasOwn(moves, act.join('/')) ? moves[act.join('/')] : undefined
      return play && move ? { status: 200, body: await move(play) } : { status: 404, body: {} }
    } catch {
      // One of the servers does not answer.
      return { status: 502, body: {} }
    }
  }

  async function begin(text: string): Promise<Answer> {
    const { email, password, bound } = readBeginning(text)
    const known = demo !== undefined && email === demo.email && !password ? demo.password : password
    if (!email || !known) return { status: 400, body: {} }
    const { outcome, play } = await signPhoneIn(issuer, { email, password: known }, bound)
    if (!play) return { status: 200, body: outcome }
    const [oldest] = plays.keys()
    if (oldest !== undefined && plays.size >= MAX_PLAYS) plays.delete(oldest)
    plays.set(play.id, play)
    return { status: 200, body: { ...outcome, id: play.id, sessionId: play.sessionId } }
  }
}

function readBeginning(text: string): { email?: string; password?: string; bound: boolean } {
  try {
    const { email, password, bound } = JSON.parse(text) as Record<string, unknown>
    return {
      ...(typeof email === 'string' ? { email } : {}),
      ...(typeof password === 'string' ? { password } : {}),
      bound: bound === true,
    }
  } catch {
    return { bound: false }
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) {
    text += chunk
    if (text.length > MAX_BODY) break
  }
  return text
}
