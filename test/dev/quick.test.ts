import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { concerned, fitting, OF_THE_TREE } from '../../dev/quick/concerned.ts'
import { DURATIONS } from '../support/durations.ts'

const tree = new Map(
  Object.entries({
    'src/errors.ts': '',
    'src/main.ts': "import { serve } from './app.ts'",
    'src/app.ts': "import { rotate } from './sessions/rotation.ts'\nimport { Problem } from './errors.ts'",
    'src/sessions/rotation.ts': "import { Problem } from '../errors.ts'",
    'src/users/users.ts': "import type { Rotation } from '../sessions/rotation.ts'",
    'sdk/browser/src/index.ts': '',
    'docs/operations.md': '',
    'vitest.config.ts': "globalSetup: ['test/global-setup.ts']",
    'test/global-setup.ts': '',
    'test/support/server.ts': "new URL('../../src/main.ts', import.meta.url)",
    'test/support/durations.ts': "export const DURATIONS = { 'test/sessions/rotation.test.ts': 9 }",
    'test/architecture.test.ts': "readdirSync(join(import.meta.dirname, '../src'))",
    'test/processes/start.test.ts': "import { startServer } from '../support/server.ts'",
    'test/sdk/browser.test.ts': "import { connect } from '@claviger/browser/react'",
    'test/sessions/model.test.ts': "import { rotate } from '../../src/sessions/rotation.ts'",
    'test/sessions/rotation.test.ts': "import { rotate } from '../../src/sessions/rotation.ts'\ntest('users')",
    'test/users/users.test.ts': "import { a } from '../../src/users/users.ts'",
    'test/db/roles.test.ts': "readFile(join(root, 'docs/operations.md'))",
  }),
)

describe('what a change concerns, nearest first', () => {
  test.each<[string, string[], string[]]>([
    ['nothing', [], []],
    ['a test', ['test/users/users.test.ts'], ['users/users', 'architecture']],
    [
      'a source: its own test, the importers, what reads its folder, what starts a program with it',
      ['src/sessions/rotation.ts'],
      ['sessions/rotation', 'architecture', 'sessions/model', 'processes/start'],
    ],
    [
      'a source that much hangs on',
      ['src/errors.ts'],
      ['architecture', 'sessions/model', 'sessions/rotation', 'processes/start'],
    ],
    ['a source that is gone', ['src/users/gone.ts'], ['architecture']],
    ['a page', ['docs/operations.md'], ['architecture', 'db/roles']],
    ['a package, by its name', ['sdk/browser/src/session.ts'], ['architecture', 'sdk/browser']],
    ['what only an order hangs on', ['test/support/durations.ts'], ['architecture']],
  ])('%s', (_name, changed, expected) => {
    const names = concerned(tree, changed).map((path) => path.replace(/^test\/(.*)\.test\.ts$/, '$1'))
    expect(names).toEqual(expected)
  })

  test.each(['package-lock.json', 'vitest.config.ts', 'test/global-setup.ts'])('all of them, for %s', (path) => {
    expect(concerned(tree, [path])).toHaveLength(7)
  })
})

test('what does not fit is left, and the next that fits is taken', () => {
  const seconds: Record<string, number> = { a: 5, b: 9, c: 4, d: 2 }
  expect(fitting(['a', 'b', 'c', 'd'], 10, (path) => seconds[path] ?? 0)).toEqual({
    chosen: ['a', 'c'],
    left: ['b', 'd'],
  })
})

test('the files that it knows by name exist', () => {
  const named = [...OF_THE_TREE, ...Object.keys(DURATIONS)]
  expect(named.filter((path) => !existsSync(join(import.meta.dirname, '../..', path)))).toEqual([])
})
