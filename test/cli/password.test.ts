import { describe, expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { forFile } from '../support/for-file.ts'
import { run } from './support.ts'

const t = forFile(await createTestApp())
let accounts = 0
const newEmail = () => `person-${++accounts}@example.com`
const create = (options: Parameters<typeof run>[1]) => {
  const email = newEmail()
  return { email, done: run(['users', 'create', email], { env: t.env, ...options }) }
}
const latin1 = (text: string) => Buffer.from(text, 'latin1')

describe('on standard input', () => {
  test.each([
    ['a letter of another encoding', latin1('a phrase with an \xe4 in it\n'), /not UTF-8/],
    ['a byte that begins no letter', latin1('a phrase with \xff in it\n'), /not UTF-8/],
    ['a letter that is cut off', Buffer.concat([Buffer.from('four quiet otters h'), Buffer.from([0xc3])]), /not UTF-8/],
    [
      'half of a surrogate pair',
      Buffer.from([0xed, 0xa0, 0x80, ...Buffer.from(' four quiet otters hum\n')]),
      /not UTF-8/,
    ],
    ['an overlong form', Buffer.from([0xc0, 0xaf, ...Buffer.from(' four quiet otters hum\n')]), /not UTF-8/],
    ['UTF-16', Buffer.from('four quiet otters hum\n', 'utf16le'), /zero character/],
    ['a zero character', Buffer.from('four quiet otters\0 hum\n'), /zero character/],
    ['a line without an end', Buffer.alloc(10_000, 'x'), /more than 4096 bytes/],
  ])('%s makes no account', async (_what, stdin, message) => {
    const { email, done } = create({ stdin })
    expect(await done).toMatchObject({ code: 1, err: expect.stringMatching(message) })
    expect(await t.db.selectFrom('users').select('id').where('email', '=', email).execute()).toEqual([])
  })

  test.each([
    ['umlauts', 'vier stille Ötter summen\n', 'vier stille Ötter summen'],
    [
      'a byte order mark and the end of a line of other systems',
      '\ufefffour quiet otters hum\r\n',
      'four quiet otters hum',
    ],
    ['spaces around it, which are its own', ' four quiet otters hum \n', ' four quiet otters hum '],
    ['the replacement character itself', 'four quiet \ufffd otters hum\n', 'four quiet \ufffd otters hum'],
  ])('%s', async (_what, stdin, password) => {
    const { email, done } = create({ stdin })
    expect(await done).toMatchObject({ code: 0 })
    expect((await t.login({ email, password })).statusCode).toBe(200)
  })
})

describe('typed at a terminal', () => {
  test('in another encoding it makes no account', async () => {
    const typed = latin1('a phrase with an \xe4 in it\r')
    const { email, done } = create({ typed: [typed, typed] })
    expect(await done).toMatchObject({ code: 1, err: expect.stringMatching(/does not send UTF-8/) })
    expect(await t.db.selectFrom('users').select('id').where('email', '=', email).execute()).toEqual([])
  })

  test('umlauts', async () => {
    const password = 'vier stille Ötter summen'
    const { email, done } = create({ typed: [`${password}\r`, `${password}\r`] })
    expect(await done).toMatchObject({ code: 0 })
    expect((await t.login({ email, password })).statusCode).toBe(200)
  })
})
