import { expect, test } from 'vitest'
import { isLive, register, signIn } from '../sessions/support.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { read } from '../support/pages.ts'
import { basic } from './authentication.ts'
import { form } from './support.ts'

// docs/oauth.md shows commands that somebody will copy, and what they answer.

const page = read('docs/oauth.md')
const commands = [...page.matchAll(/^curl [\s\S]*?(?=^```)/gm)].map(([command]) => command)
const replies = [...page.matchAll(/^```json\n([\s\S]*?)^```/gm)].map(([, text = '']) => JSON.parse(text) as object)

const t = forFile(await createTestApp({ env: { AUDIENCE: 'orders,reports' } }))
const service = await addServiceClient(t, { scopes: ['reports:write'], audiences: ['reports'] })

/** What the command sends, with this in place of the token that is shown. */
function run(command: string, token = '') {
  const [, path = ''] = /https:\/\/auth\.example\.com(\/\S+)/.exec(command) ?? []
  const fields = [...command.matchAll(/-d (\S+?)=(\S+)/g)].map(([, name = '', value = '']) => [
    name,
    value.endsWith('…') ? token : value,
  ])
  const proved = command.includes('-u "$CLIENT_ID:$CLIENT_SECRET"')
  return form(
    t,
    path,
    Object.fromEntries(fields) as Record<string, string>,
    proved ? { authorization: basic(service.clientId, service.secret) } : {},
  )
}

test('every command is answered as shown', async () => {
  const [token = '', introspect = '', revoke = ''] = commands
  expect([commands.length, replies.length]).toEqual([3, 2])
  const granted = await run(token)
  expect(granted.json()).toEqual({ ...replies[0], access_token: expect.any(String) })

  const session = await signIn(t, await register(t), 'body', { audience: 'reports' })
  const answer = await run(introspect, session.accessToken)
  expect(answer.json()).toMatchObject({ aud: 'reports', active: true })
  expect(Object.keys(answer.json()).toSorted()).toEqual(Object.keys(replies[1] ?? {}).toSorted())

  const revoked = await run(revoke, session.token)
  expect([revoked.statusCode, revoked.body, await isLive(t, session.sid)]).toEqual([200, '', false])
})
