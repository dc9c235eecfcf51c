import { expect, test } from 'vitest'
import { files, read } from '../support/pages.ts'

const deployed = files.filter((path) => /^deploy\/[^/]+\/[^/]+$/.test(path))

test('every file in deploy/ is on the map, and says how it was tested', () => {
  const operations = read('docs/operations.md')
  const map = operations.slice(operations.indexOf('| file | for |'), operations.indexOf('The server listens on'))
  expect(deployed.length).toBeGreaterThan(6)
  expect(deployed.filter((path) => !map.includes(`](../${path})`))).toEqual([])
  const silent = deployed.filter((path) => !/^(# |  "description": ).*(Tested|Checked|was run)/m.test(read(path)))
  expect(silent).toEqual([])
})
