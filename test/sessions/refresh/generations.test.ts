import fc from 'fast-check'
import { expect, test } from 'vitest'
import { deriveServerKeys, hmac, type KeyList } from '../../../src/config/secrets.ts'
import { createTestApp } from '../../support/app.ts'
import { forFile } from '../../support/for-file.ts'
import { expectRefused, granted, isLive, refresh, register, type SignedIn, signIn } from '../support.ts'

// Whoever holds a secret of the list, perhaps an old one that has leaked, can make tokens that are authentic in every point
// but in being ours. Such a token is refused, whatever generation it names, and does others in its batch no harm.

const secret = Buffer.from('a secret that is known to the forger').subarray(0, 32)
const t = forFile(await createTestApp())
const keys: KeyList = [t.deps.serverKeys[0], deriveServerKeys(secret)]
Object.assign(t.deps, { serverKeys: keys })
const user = await register(t)

/** The token as it would be with this generation. */
function ofGeneration(token: string, generation: number): string {
  const bytes = Buffer.from(token.slice(4), 'base64url')
  const forger = deriveServerKeys(secret)
  bytes[0] = forger.id
  bytes.writeUInt32BE(generation, 17)
  hmac(forger.refreshTag, 'rt-tag', bytes.subarray(0, 53)).copy(bytes, 53, 0, 16)
  return `rt1_${bytes.toString('base64url')}`
}

const EDGES = [0, 1, 2, 2 ** 15, 2 ** 16, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1]

test('a token of any generation is judged, and its neighbours in the batch are served', async () => {
  const bystanders: SignedIn[] = []
  while (bystanders.length < 4) bystanders.push(await signIn(t, user))
  const generations = fc.oneof(fc.constantFrom(...EDGES), fc.integer({ min: 0, max: 2 ** 32 - 1 }))
  await fc.assert(
    fc.asyncProperty(fc.array(generations, { minLength: 1, maxLength: 6 }), async (made) => {
      const { token } = await signIn(t, user)
      const answers = await Promise.all([
        ...made.map((generation) => refresh(t, 'body', ofGeneration(token, generation))),
        ...bystanders.map((bystander) => refresh(t, 'body', bystander.token)),
      ])
      // One that waits while another takes the family further has been overtaken.
      for (const answer of answers.slice(0, made.length)) expect([200, 401, 429]).toContain(answer.statusCode)
      for (const [index, answer] of answers.slice(made.length).entries()) {
        const bystander = bystanders[index] as SignedIn
        bystander.token = granted(answer)
      }
    }),
    { numRuns: 40 },
  )
})

test.each([2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])('generation %d cannot be ours: nothing ends', async (generation) => {
  const { token, sid } = await signIn(t, user)
  expectRefused(await refresh(t, 'body', ofGeneration(token, generation)))
  expect(await isLive(t, sid)).toBe(true)
  granted(await refresh(t, 'body', token))
})

test('the last generation that can be can still be retried', async () => {
  const { token, sid } = await signIn(t, user)
  const last = ofGeneration(token, 2 ** 31 - 2)
  const successor = granted(await refresh(t, 'body', last))
  expect(granted(await refresh(t, 'body', last))).toBe(successor)
  expectRefused(await refresh(t, 'body', successor))
  expect(await isLive(t, sid)).toBe(true)
})

test('a streak of retries longer than its column can count is answered like any other', async () => {
  const { token, sid } = await signIn(t, user)
  await t.db.updateTable('families').set({ retry_streak: 32_767, retried: true }).where('id', '=', sid).execute()
  const successor = granted(await refresh(t, 'body', token))
  expect(granted(await refresh(t, 'body', token))).toBe(successor)
  granted(await refresh(t, 'body', successor))
})
