import type { IncomingMessage } from 'node:http'
import type { DemoAccount } from './server.ts'
import { type Play, phoneOrders, phoneRefreshes, signPhoneIn, thiefReplays } from './thief.ts'

interface Answer {
  status: number
  body: object
}

const MAX_BODY = 4096
const MAX_PLAYS = 100

/**
 * POST /play {email, password?}, then /play/{id}/phone, /play/{id}/thief and /play/{id}/orders: one move each. The tokens stay
 * here; the page is shown their first and last letters.
 * @param servers base URLs as this process reaches them
 */
export function playRoutes({ issuer, orders }: { issuer: string; orders: string }, demo: DemoAccount | undefined) {
  const plays = new Map<string, Play>()

  return async (request: IncomingMessage, path: string): Promise<Answer> => {
    // Only the page itself: another site's form or script can send neither this type nor this header.
    const site = request.headers['sec-fetch-site']
    if (request.headers['content-type'] !== 'application/json' || (site !== undefined && site !== 'same-origin')) {
      return { status: 403, body: {} }
    }
    const text = await readText(request)
    const [, , id, who, ...rest] = path.split('/')
    if (rest.length > 0) return { status: 404, body: {} }
    try {
      if (id === undefined) return await begin(text)
      const play = plays.get(id)
      if (!play) return { status: 404, body: {} }
      if (who === 'phone') return { status: 200, body: await phoneRefreshes(issuer, play) }
      if (who === 'orders') return { status: 200, body: await phoneOrders(orders, play) }
      if (who === 'thief') return { status: 200, body: await thiefReplays(issuer, play) }
      return { status: 404, body: {} }
    } catch {
      // One of the servers does not answer.
      return { status: 502, body: {} }
    }
  }

  async function begin(text: string): Promise<Answer> {
    const { email, password } = readAccount(text)
    const known = demo !== undefined && email === demo.email && !password ? demo.password : password
    if (!email || !known) return { status: 400, body: {} }
    const { outcome, play } = await signPhoneIn(issuer, { email, password: known })
    if (!play) return { status: 200, body: outcome }
    const [oldest] = plays.keys()
    if (oldest !== undefined && plays.size >= MAX_PLAYS) plays.delete(oldest)
    plays.set(play.id, play)
    return { status: 200, body: { ...outcome, id: play.id, sessionId: play.sessionId } }
  }
}

function readAccount(text: string): { email?: string; password?: string } {
  try {
    const { email, password } = JSON.parse(text) as Record<string, unknown>
    return {
      ...(typeof email === 'string' ? { email } : {}),
      ...(typeof password === 'string' ? { password } : {}),
    }
  } catch {
    return {}
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
