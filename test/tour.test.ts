import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tryNext } from '../dev/try-next.ts'
import { createTestApp, type TestApp } from './support/app.ts'
import { pages, read } from './support/pages.ts'
import { isInstalled, paste, type Shell, shells } from './support/shells.ts'

// What the README and the server itself ask a newcomer to paste, in the shells that newcomers have.

const root = join(import.meta.dirname, '..')

/** The blocks of a section that are to be pasted, one after the other. */
function commandsOf(page: string, section: string): string {
  const [, text] = new RegExp(`^## ${section}$([^]*?)(?=^## )`, 'm').exec(read(page)) ?? []
  return [...(text ?? '').matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block]) => block).join('')
}

/** What the banner shows indented. */
function commandsOfBanner(t: TestApp, url: string): string {
  const banner = tryNext({ config: { ...t.config, ISSUER: url }, url, metricsUrl: 'http://127.0.0.1:9464' })
  const commands = banner.slice(banner.indexOf('What to try next')).split('\n')
  return commands.flatMap((line) => (line.startsWith('  ') ? [`${line.trim()}; echo`] : [])).join('\n')
}

/** With what differs from run to run replaced. */
function shapeOf(output: string): string {
  return output
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>')
    .replace(/(?<![\w-])(eyJ|rt1_|dt1_)[\w.-]+/g, '<token>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z( \([^)]*\))?/g, '<time>')
    .replace(/"(kid|n)":"[\w-]+"/g, '"$1":"<key>"')
}

const absent = shells.filter((shell) => !isInstalled(shell))
const title = (what: string) => `${what} can be pasted${absent.length > 0 ? ` (not found: ${absent.join(', ')})` : ''}`

async function inEachShell(commands: (t: TestApp, url: string) => string): Promise<string> {
  if (process.env.CI) expect(absent, 'shells that CI must have').toEqual([])
  const shapes = new Map<Shell, string>()
  for (const shell of shells.filter((each) => !absent.includes(each))) {
    await using t = await createTestApp()
    const url = await t.listen()
    const { out, complaints } = await paste(shell, commands(t, url), root, { ...t.env, LOG_LEVEL: 'warn' })
    expect(complaints, shell).toEqual([])
    shapes.set(shell, shapeOf(out))
  }
  const [[first, shape]] = [...shapes] as [[Shell, string]]
  for (const [shell, other] of shapes) expect(other, `${shell} beside ${first}`).toBe(shape)
  return shape
}

test(title('the tour of the README'), { timeout: 120_000 }, async () => {
  const tour = commandsOf('README.md', 'Five minutes with curl')
  expect(tour).toContain('http://localhost:3000')
  const shape = await inEachShell((_t, url) => tour.replaceAll('http://localhost:3000', url))
  expect(shape).toContain('"refresh_token":"<token>"')
  expect(shape.match(/"code":"invalid_grant"/g)).toHaveLength(2)
  expect(shape).toMatch(
    /^Session <id> of ada@example\.com ended at <time> because a refresh token that had been replaced/m,
  )
  expect(shape).toMatch(/^204$/m)
  expect(shape).toMatch(/^Session <id> of ada@example\.com ended at <time> because its user signed out/m)
})

test(title('what npm start prints'), { timeout: 60_000 }, async () => {
  const shape = await inEachShell(commandsOfBanner)
  expect(shape.match(/"email":"ada@example\.com"/g)).toHaveLength(2)
  expect(shape).toContain('"refresh_token":"<token>"')
  expect(shape).toContain('"kty":"RSA"')
})

/** Lines with a comment in what a page asks to paste. */
function commentsIn(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|bash|zsh|shell|console)\n([^]*?)^```$/gm)]
  return blocks.flatMap(([, block = '']) => block.split('\n').filter((line) => /(^|\s)#(\s|$)/.test(line)))
}

test('nothing that a page asks to paste has a comment in it', () => {
  expect(pages.flatMap((page) => commentsIn(read(page)).map((line) => `${page}: ${line}`))).toEqual([])
  expect(commentsIn('```sh\nnpm start  # the server\n# and\ncurl x#y\n```\n')).toEqual([
    'npm start  # the server',
    '# and',
  ])
})
