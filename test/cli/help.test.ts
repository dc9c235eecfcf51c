import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { add } from '../../src/cli/clients-add.ts'
import { run } from './support.ts'

const { out: overview } = await run(['--help'])
const commands = [...overview.matchAll(/^ {2}([a-z]+(?: [a-z]+)?) {2,}\S/gm)].map(([, name = '']) => name)
const groups = [...new Set(commands.filter((name) => name.includes(' ')).map((name) => name.split(' ')[0] ?? ''))]

test('the overview names commands and groups', () => {
  expect(commands.length).toBeGreaterThan(20)
  expect(groups).toEqual(['users', 'sessions', 'clients', 'keys', 'outbox'])
})

test.each(['--help', ...commands.map((name) => `${name} --help`)])(
  '%s fits a terminal of eighty columns',
  async (asked) => {
    const args = asked.split(' ')
    const narrow = stripVTControlCharacters((await run(args, { columns: 80 })).out)
    expect(narrow.split('\n').filter((line) => line.length > 80)).toEqual([])
    // No line ends early because one of the source did, and no word is broken.
    expect(narrow).not.toMatch(/^\S.{0,50}\n(?=[a-z])/m)
    expect(narrow.split(/\s+/)).toEqual((await run(args)).out.split(/\s+/))
  },
)

test.each(commands)('%s --help tells how it is used, on standard output', async (name) => {
  const words = name.split(' ')
  const told = await run([...words, '--help'])
  expect(told).toEqual({ code: 0, err: '', out: expect.stringMatching(new RegExp(`^usage: claviger ${name}\\b`)) })
  for (const args of [
    [...words, '-h'],
    ['help', ...words],
    [...words, 'extra', '--no-such-option', '--help'],
  ]) {
    expect(await run(args), args.join(' ')).toEqual(told)
  }
  // What is said of an option is said of one that there is.
  for (const [, option] of told.out.matchAll(/^ {2}--([a-z-]+)/gm)) {
    expect((await run([...words, `--${option}x`])).err).toContain(`Did you mean --${option}?`)
  }
})

test('clients add --help tells of every option', async () => {
  const { out } = await run(['clients', 'add', '--help'])
  for (const option of Object.keys(add.options)) expect(out).toMatch(new RegExp(`--${option}(?![\\w-])`))
})

test.each(groups)('%s --help lists its commands, on standard output', async (group) => {
  const told = await run([group, '--help'])
  expect(told).toMatchObject({ code: 0, err: '' })
  for (const name of commands) expect(told.out.includes(`  ${name}  `)).toBe(name.startsWith(`${group} `))
  expect(await run([group, '-h'])).toEqual(told)
  expect(await run(['help', group])).toEqual(told)
})

test.each([
  ['user list', 'users list'],
  ['users lst', 'users list'],
  ['usres lsit', 'users list'],
  ['list users', 'users list'],
  ['users crate a@example.com', 'users create'],
  ['users claim', 'users claims'],
  ['session why', 'sessions why'],
  ['sessions list-ended', undefined],
  ['key rotate --compromised', 'keys rotate'],
  ['Users List', 'users list'],
  ['user', 'users'],
  ['sesions', 'sessions'],
  ['doctr', 'doctor'],
  ['confg --json', 'config'],
  ['help user list', 'users list'],
  ['user list --help', 'users list'],
  ['--hlep', '--help'],
  ['--verson', '--version'],
  ['users list --limti 3', '--limit'],
  ['users list --jsn', '--json'],
  ['users create a@example.com --rol admin', '--role'],
  ['sessions end --al', '--all'],
  ['client add', 'clients add'],
  ['clients rotate', undefined],
  ['clients rotate-secrets x', 'clients rotate-secret'],
  ['clients add x --scop a', '--scope'],
  ['nonsense', undefined],
  ['users frobnicate', undefined],
  ['users list --frobnicate', undefined],
])('%s was meant as %s', async (typed, meant) => {
  const { code, out, err } = await run(typed.split(' '))
  expect({ code, out }).toEqual({ code: 2, out: '' })
  const [, suggested] = /Did you mean (?:“claviger )?([a-z -]+?)”?\?/.exec(err) ?? []
  expect(suggested).toBe(meant)
})
