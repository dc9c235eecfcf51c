import { userInfo } from 'node:os'
import { describe, expect, test } from 'vitest'
import { operatorName } from '../../src/cli/operator.ts'
import { createTestApp } from '../support/app.ts'
import { run } from './support.ts'

describe('what the trail says of who did it', () => {
  test('the name that --as gives, else that of the user of the system', async () => {
    await using t = await createTestApp()
    const create = async (email: string, ...more: string[]) =>
      expect((await run(['users', 'create', email, '--no-password', ...more], { env: t.env })).code).toBe(0)
    await create('a@example.com', '--as', 'Ada Lovelace')
    await create('b@example.com')
    const made = t.db.selectFrom('audit').select('actor').where('type', '=', 'user.created').orderBy('seq')
    expect((await made.execute()).map(({ actor }) => actor)).toEqual([
      'operator:Ada Lovelace',
      `operator:${userInfo().username}`,
    ])
  })

  test('and sessions why repeats it', async () => {
    await using t = await createTestApp()
    const { userId } = await t.signUp()
    await run(['users', 'disable', userId, '--as', 'ada'], { env: t.env })
    const { out } = await run(['sessions', 'why', userId, '--json'], { env: t.env })
    const [session] = (JSON.parse(out) as { sessions: { id: string }[] }).sessions
    const told = await run(['sessions', 'why', session?.id ?? '', '--json'], { env: t.env })
    const { events } = JSON.parse(told.out) as { events: { type: string; actor: string }[] }
    expect(events.map(({ type, actor }) => [type, actor])).toEqual([
      ['login', `user:${userId}`],
      ['session.ended', 'operator:ada'],
    ])
  })
})

const nobody = (): string => {
  throw new Error('ENOENT: no such user')
}

test.each(['ada', 'Ada Lovelace', 'ci@deploy', 'DOMAIN\\ada', 'github-actions[bot]', 'Åsa', '愛', 'x'.repeat(64)])(
  '--as takes %s',
  (name) => {
    expect(operatorName(name, nobody)).toBe(name)
  },
)

/** A name that a terminal would act on, or that would be read as another one. */
const UNFIT = [
  '',
  ' ',
  ' ada',
  'ada ',
  'a\nb',
  'a\u2028b',
  '\x1b[31mada',
  'ada\0',
  'ada\u202e',
  '\ud800',
  'x'.repeat(65),
]

test.each(UNFIT)('--as does not take %j', (name) => {
  expect(() => operatorName(name, nobody)).toThrow('--as takes a name of 1 to 64 characters')
})

test.each([...UNFIT.map((name) => () => name), nobody])(
  'a system whose user has no fit name gives a number',
  (user) => {
    expect(operatorName(undefined, user)).toBe(`uid ${process.getuid?.()}`)
  },
)
