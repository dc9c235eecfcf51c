import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { signUpOver } from '../support/honest-client.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { startServer } from '../support/server.ts'

const GRACE_SECONDS = 2

async function post(url: string, token: string): Promise<{ status: number; token: string }> {
  const answer = await postJson(`${url}/refresh`, { refresh_token: token })
  return { status: answer.status, token: String(((await answer.json()) as { refresh_token?: string }).refresh_token) }
}

test('a process that was stopped while a retry lay before it does not call it late', async () => {
  await using database = await cloneDatabase()
  await using server = await startServer({
    databaseUrl: database.url,
    env: { REFRESH_GRACE_SECONDS: String(GRACE_SECONDS) },
  })
  const { tokens } = await signUpOver(server.url, 2)
  const [first = '', second = ''] = tokens.map(({ token }) => token)
  const [successor] = await Promise.all([post(server.url, first), post(server.url, second)])
  expect(successor.status).toBe(200)

  server.process.kill('SIGSTOP')
  const retry = post(server.url, first)
  await sleep((GRACE_SECONDS + 2) * 1000)
  server.process.kill('SIGCONT')
  expect(await retry).toEqual(successor)

  // The same without a standstill is late.
  await sleep(1500)
  expect((await post(server.url, second)).status).toBe(401)
})
