import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** Files of the suite that look into /proc, which only Linux has, and do not ask whether it is there. */
function thatNeedLinux(sources: Record<string, string>): string[] {
  return Object.entries(sources).flatMap(([path, text]) =>
    /['"`]\/proc\b/.test(text) && !/\bhasProc\b/.test(text) ? [path] : [],
  )
}

test('npm test needs no Linux: what reads /proc is skipped by name where there is none', () => {
  const paths = readdirSync(import.meta.dirname, { recursive: true })
    .map(String)
    // Those have a command of their own, and say what they did not find.
    .filter((path) => path.endsWith('.ts') && !/^(interop|container)\//.test(path))
  const sources = Object.fromEntries(paths.map((path) => [path, readFileSync(join(import.meta.dirname, path), 'utf8')]))
  expect(thatNeedLinux(sources)).toEqual([])
})

test('the rule finds what it is there for', () => {
  const sources = {
    'a.test.ts': "readFileSync(`/proc/${pid}/cmdline`, 'utf8')",
    'b.test.ts': "test.skipIf(!hasProc)('… (needs /proc)', () => readdirSync('/proc'))",
    'c.test.ts': '// not in /proc',
  }
  expect(thatNeedLinux(sources)).toEqual(['a.test.ts'])
})
