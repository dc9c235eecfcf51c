import { compactVerify, importJWK } from 'jose'
import { expect, test } from 'vitest'
import { makeVectors } from '../../sdk/verifier/make-vectors.ts'
import { createVerifier } from '../../sdk/verifier/src/index.ts'
import { createFixedKeySource } from '../../sdk/verifier/src/key-source.ts'
import {
  checkId,
  EVENT_TYPE,
  LIST_TYPE,
  readEvent,
  readStatement,
} from '../../sdk/verifier/src/revocations/messages.ts'
import { createOpener } from '../../sdk/verifier/src/revocations/open-message.ts'
import { createView } from '../../sdk/verifier/src/revocations/view.ts'
import { signingKey } from '../../sdk/verifier/vectors/keys.ts'
import type { Message } from '../../sdk/verifier/vectors/revocations.ts'
import { headerOf } from '../support/jwt.ts'

const { issuer, audience, jwks, revocations } = makeVectors('https://issuer.example')
const { good, bad, verdicts } = revocations
const open = createOpener(createFixedKeySource(jwks).find, () => false, 64 * 1024)

async function read({ kind, id, jws }: Message): Promise<{ epoch: string; seq: number }> {
  if (kind === 'list') return readStatement(await open(jws, LIST_TYPE), issuer)
  const event = readEvent(await open(jws, EVENT_TYPE), issuer)
  checkId(id, event)
  return event
}

test.each(good)('$name is believed', async ({ epoch, seq, ...message }) => {
  expect(await read(message)).toMatchObject({ epoch, seq })
})

test.each(bad)('$name is not: $why', async (message) => {
  await expect(read(message)).rejects.toThrow()
})

test.each(verdicts)('a token is judged by $name: $revoked', async ({ list, token, revoked }) => {
  const view = createView(30)
  const statement = readStatement(await open(list, LIST_TYPE), issuer)
  view.page(statement, undefined, { monotonic: 0, wall: statement.iat * 1000 })
  const claims = await createVerifier({ issuer, audience, jwks })(token)
  expect(view.revokes(claims, headerOf(token).kid)).toBe(revoked)
})

test('names are unique', () => {
  for (const list of [good, bad, verdicts]) expect(new Set(list.map(({ name }) => name)).size).toBe(list.length)
})

test('only what is said to be wrong is wrong: the rest of each is as the issuer makes it', async () => {
  const key = await importJWK({ kty: 'RSA', n: signingKey.n, e: signingKey.e }, 'RS256')
  const wellSigned = bad.filter(({ why, name }) => !/^signed|^another spelling/.test(why) && name !== 'list-as-json')
  for (const { jws } of wellSigned) await compactVerify(jws, key)
  expect(wellSigned.length).toBeGreaterThan(20)
})
