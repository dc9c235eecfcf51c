import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { importPKCS8, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { run as cli } from '../cli/support.ts'
import { isLive, register, signIn } from '../sessions/support.ts'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { read } from '../support/pages.ts'
import { askForToken, basic, JWT_BEARER } from './authentication.ts'
import { seconds } from './signer.ts'
import { form } from './support.ts'

// docs/oauth.md shows commands that somebody will copy, and what they answer; docs/operations.md how to make a key.

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

test('a key that is made as shown proves the service that is registered with it', async () => {
  const [, make = '', add = ''] =
    /^```sh\n(openssl [\s\S]*?)^claviger (clients add .*)\n```/m.exec(read('docs/operations.md')) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'claviger-key-'))
  try {
    await promisify(execFile)('sh', ['-ec', make], { cwd: folder })
    const typed = add.replace('ledger.jwks.json', join(folder, 'ledger.jwks.json')).split(' ')
    const { code, out, err } = await cli([...typed, '--json'], { env: t.env })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const { client_id: id } = JSON.parse(out) as { client_id: string }

    const key = await importPKCS8(await readFile(join(folder, 'ledger.pem'), 'utf8'), 'ES256')
    const claims = { iss: id, sub: id, aud: t.config.ISSUER, exp: seconds(t.deps.clock) + 60, jti: randomUUID() }
    const assertion = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'ledger-1' }).sign(key)
    const answer = await askForToken(t, {
      grant_type: 'client_credentials',
      client_assertion: assertion,
      client_assertion_type: JWT_BEARER,
    })
    expect(answer.json()).toMatchObject({ access_token: expect.any(String) })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
