import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { tryNext } from '../dev/try-next.ts'
import { installPackages } from './recipes/node-packages.ts'
import { createTestApp, type TestApp } from './support/app.ts'
import { startForwarder } from './support/forwarder.ts'
import { pages, read } from './support/pages.ts'
import { freePort } from './support/server.ts'
import { isInstalled, paste, type Shell, shells } from './support/shells.ts'

// What the README, docs/logout.md, docs/dpop.md and the server itself ask a newcomer to paste, in the shells that newcomers have.

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
    .replace(/"(kid|n|jkt)":"[\w-]+"/g, '"$1":"<key>"')
    .replace(/\bcl_[\w-]+/g, '<client>')
    .replace(/"(iat|exp)":\d+|"jti":"[\w-]+"/g, '<of the token>')
    .replace(/ {2,}(REPORTED|now|\d+ s ago) +/g, ' <moments ago> ')
}

const absent = shells.filter((shell) => !isInstalled(shell))
const title = (what: string) => `${what} can be pasted${absent.length > 0 ? ` (not found: ${absent.join(', ')})` : ''}`

async function inEachShell(
  commands: (t: TestApp, url: string) => string | Promise<string>,
  settings: Record<string, string> = {},
): Promise<string> {
  if (process.env.CI) expect(absent, 'shells that CI must have').toEqual([])
  const shapes = new Map<Shell, string>()
  for (const shell of shells.filter((each) => !absent.includes(each))) {
    await using t = await createTestApp({ env: settings })
    const url = await t.listen()
    const { out, complaints } = await paste(shell, await commands(t, url), root, { ...t.env, LOG_LEVEL: 'warn' })
    expect(complaints, shell).toEqual([])
    shapes.set(shell, shapeOf(out))
  }
  const [[first, shape]] = [...shapes] as [[Shell, string]]
  for (const [shell, other] of shapes) expect(other, `${shell} beside ${first}`).toBe(shape)
  return shape
}

test(title('the tour of the README, and its program without a user'), { timeout: 120_000 }, async () => {
  const [program = ''] = commandsOf('README.md', 'In your application').match(/^IMPORTER=[^]*/m) ?? []
  const tour = `${commandsOf('README.md', 'Five minutes with curl')}${program}`
  expect(tour).toContain('http://localhost:3000')
  const shape = await inEachShell((_t, url) => tour.replaceAll('http://localhost:3000', url))
  expect(shape).toContain('"refresh_token":"<token>"')
  expect(shape.match(/"code":"invalid_grant"/g)).toHaveLength(2)
  expect(shape).toMatch(
    /^Session <id> of ada@example\.com ended at <time> because a refresh token that had been replaced/m,
  )
  expect(shape).toMatch(/^204$/m)
  expect(shape).toMatch(/^Session <id> of ada@example\.com ended at <time> because its user signed out/m)
  expect(shape).toMatch(/"sub":"<client>".*"scope":"orders:write".*"active":true/)
})

test(title('docs/logout.md'), { timeout: 120_000 }, async () => {
  const { version } = JSON.parse(read('sdk/verifier/package.json')) as { version: string }
  await using line = await startForwarder()
  const issuer = `http://localhost:${line.port}`
  const folder = await mkdtemp(join(tmpdir(), 'claviger-logout-'))
  try {
    await installPackages(folder, 'verifier', ['jose'])
    // Done already: here the server starts on another port, and packages are not fetched.
    const done = [/^AUDIENCE=orders npm start\n/, RegExp(`^mkdir [^]*?claviger-verifier-${version}\\.tgz"\n`, 'm')]
    const walk = done.reduce(
      (text, part) => {
        expect(text).toMatch(part)
        return text.replace(part, '')
      },
      commandsOf('docs/logout.md', 'Try it'),
    )
    const commands = async (_t: TestApp, url: string) => {
      line.lead(Number(new URL(url).port))
      return walk
        .replaceAll('http://localhost:3000', issuer)
        .replaceAll('/tmp/orders', folder)
        .replaceAll('4000', String(await freePort()))
    }
    const shape = await inEachShell(commands, { AUDIENCE: 'orders', ISSUER: issuer })
    expect(shape).toMatch(/^200\n401\n/)
    expect(shape).toMatch(/^orders +web-1 +current <moments ago> 1 of 1 +all$/m)
    expect(shape).toMatch(/^Session <id> of grace@example\.com ended at <time> because its user signed out/m)
    expect(shape).toMatch(/^All services that report have heard of it: 1 instance\.$/m)
    expect(shape).toMatch(/^Removed orders\.$/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test(title('docs/dpop.md'), { timeout: 120_000 }, async () => {
  // A proof names the URL, so that has to be the issuer's.
  await using line = await startForwarder()
  const issuer = `http://localhost:${line.port}`
  const folder = await mkdtemp(join(tmpdir(), 'claviger-dpop-'))
  try {
    const walk = commandsOf('docs/dpop.md', 'Try it').replaceAll('/tmp/dpop', join(folder, 'dpop'))
    expect(walk).toContain('URL=http://localhost:3000')
    const commands = (_t: TestApp, url: string) => {
      line.lead(Number(new URL(url).port))
      return walk.replaceAll('http://localhost:3000', issuer)
    }
    const shape = await inEachShell(commands, { ISSUER: issuer })
    const refused = '{"type":"urn:claviger:problem:invalid_dpop_proof".*"status":400,.*}'
    const lines = [
      'DPoP',
      '"cnf":{"jkt":"<key>"}',
      refused,
      refused,
      '401',
      '401',
      '200',
      'DPoP',
      'Session <id> of ada@example\\.com, bound to a key, is live:.*',
    ]
    expect(shape).toMatch(new RegExp(`^${lines.join('\\n')}\\s*$`))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
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
