import type { Connection } from './connection.ts'
import { post } from './sources.ts'

export interface Session {
  accessToken: string
  refreshToken: string
}

/** @returns what a session has whose first token we know. */
export async function refreshOnce(connection: Connection, host: string, token: string): Promise<Session> {
  const { status, body } = await connection.send(post(host, '/refresh', JSON.stringify({ refresh_token: token })))
  if (status !== 200) throw new Error(`a refresh was answered ${status}: ${body}`)
  const reply = JSON.parse(body) as { access_token: string; refresh_token: string }
  return { accessToken: reply.access_token, refreshToken: reply.refresh_token }
}
