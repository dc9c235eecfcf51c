import { describe, expect, test } from 'vitest'
import { readOptions } from '../../bench/options.ts'

const rows = { refresh: true, growth: true }
const extras = { profile: true }
const read = (...args: string[]) => readOptions(args, rows, extras)

describe('options of npm run bench', () => {
  test('without any: all rows, none of the extras', () => {
    expect(read()).toEqual({
      chosen: ['refresh', 'growth'],
      unknown: [],
      help: false,
      json: false,
      compare: undefined,
      options: { seconds: 10, families: 1_000_000, rotations: 200_000, databases: [] },
    })
  })

  test('rows in the order given, extras among them', () => {
    const { chosen, unknown } = read('profile', 'refresh')
    expect([chosen, unknown]).toEqual([['profile', 'refresh'], []])
  })

  test('what is not the name of a row is named, even if every object has it', () => {
    expect(read('refresh', 'refesh', 'constructor').unknown).toEqual(['refesh', 'constructor'])
  })

  test('figures and files', () => {
    const { json, compare, options } = read(
      '--families',
      '10000000',
      '--seconds',
      '0.5',
      '--json',
      '--compare',
      'a.json',
    )
    expect({ json, compare, options }).toEqual({
      json: true,
      compare: 'a.json',
      options: { seconds: 0.5, families: 10_000_000, rotations: 200_000, databases: [] },
    })
  })

  test('several servers, in the order given', () => {
    expect(read('engine', '--database', 'postgres://a/x', '--database', 'postgres://b/x').options.databases).toEqual([
      'postgres://a/x',
      'postgres://b/x',
    ])
  })

  test.each(['0', '-1', 'many', '', 'Infinity'])('--rotations=%s is refused', (value) => {
    expect(() => read(`--rotations=${value}`)).toThrow('--rotations')
  })

  test('an unknown option is refused', () => {
    expect(() => read('--famlies', '5')).toThrow('famlies')
  })
})
