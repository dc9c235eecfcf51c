import type { LightMyRequestResponse } from 'fastify'
import { expect, test } from 'vitest'
import { invite } from '../../src/users/invite.ts'
import {
  delivered,
  forgot,
  linked,
  mailedReset,
  mailedVerification,
  post,
  resend,
  reset,
  verify,
  wrongOf,
} from '../sign-in/mailbox.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { byOperator } from '../support/operation.ts'
import { visible } from '../users/support.ts'
import { areasOf, computeLightly } from './areas.ts'

// Neither an answer, nor its headers, nor its time tells which addresses have an account.

const accounts = ['enabled', 'unknown', 'disabled'] as const

async function startApp(): Promise<TestApp> {
  const t = await createTestApp({ env: { LOG_LEVEL: 'info' }, computeTag: computeLightly })
  for (const each of ['enabled', 'disabled'] as const) await t.register(addressOf(each), TEST_PASSWORD)
  await t.db
    .updateTable('users')
    .set({ disabled_at: t.deps.clock() })
    .where('email', '=', addressOf('disabled'))
    .execute()
  return t
}

const addressOf = (each: string) => `${each}@example.com`

/** Measures what `ask` takes for each class, and expects equal answers and times. */
async function expectAlike<Each extends string>(
  classes: readonly Each[],
  ask: (each: Each) => Promise<LightMyRequestResponse>,
  status: number,
): Promise<void> {
  const [reference] = classes
  if (reference === undefined) throw new Error('there is nothing to compare')
  const answers = new Set<string>()
  const areas = await areasOf(classes, reference, async (each) => {
    const started = performance.now()
    const answer = await ask(each)
    const took = performance.now() - started
    answers.add(JSON.stringify(visible(answer)))
    return took
  })
  expect([...answers].map((answer) => JSON.parse(answer).status)).toEqual([status])
  for (const each of classes) expect(Math.abs(areas[each] - 0.5), each).toBeLessThan(0.1)
}

test('asking for a reset is answered alike, and in the same time', async () => {
  await using t = await startApp()
  await expectAlike(accounts, (each) => forgot(t, addressOf(each)), 202)
  expect((await delivered(t)).map(({ to }) => to)).toEqual(Array.from({ length: 3 }, () => addressOf('enabled')))
}, 300_000)

test('asking to verify an address again is answered alike, and in the same time', async () => {
  await using t = await startApp()
  await expectAlike(accounts, (each) => resend(t, addressOf(each)), 202)
  expect((await delivered(t)).map(({ to }) => to)).toEqual(Array.from({ length: 3 }, () => addressOf('enabled')))
}, 300_000)

const registrations = ['free', 'enabled', 'disabled'] as const

test('a registration is answered alike, and in the same time, whether or not the address has an account', async () => {
  await using t = await startApp()
  await using strict = await createTestApp({
    join: t,
    env: { EMAIL_VERIFICATION: 'required' },
    computeTag: computeLightly,
  })
  let free = 0
  await expectAlike(
    registrations,
    (each) => strict.register(each === 'free' ? addressOf(`free-${++free}`) : addressOf(each), TEST_PASSWORD),
    202,
  )
}, 300_000)

/** Invites somebody who has no account. */
async function mailedInvitation(t: TestApp, email: string) {
  await invite(t.deps, byOperator(t.deps), { email, roles: [], mail: 'en' })
  return linked(await delivered(t), 'invitation')
}

const accept = (t: TestApp, mailed: object, password: string) => post(t, '/invitations/accept', { ...mailed, password })

test.each([
  ['reset a password', accounts, mailedReset, reset],
  ['verify an address', accounts, mailedVerification, verify],
  ['accept an invitation', ['invited', 'unknown', 'enabled'], mailedInvitation, accept],
] as const)(
  'a wrong code to %s is refused alike, and in the same time, whether or not there is one',
  async (_what, classes, mailed, use) => {
    await using t = await startApp()
    const { code } = await mailed(t, addressOf(classes[0]))
    await expectAlike<string>(
      classes,
      async (each) => {
        await t.db.updateTable('one_time_codes').set({ code_tries: 0 }).execute()
        return await use(t, { email: addressOf(each), code: wrongOf(code) }, 'seven brisk herons glide')
      },
      400,
    )
  },
  300_000,
)
