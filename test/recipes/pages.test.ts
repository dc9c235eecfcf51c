import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { read } from '../support/pages.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { isInstalled, paste, shells } from '../support/shells.ts'
import { prepareIssuer } from './issuer.ts'
import { installPackages } from './node-packages.ts'
import { layOut, readRecipe } from './page.ts'
import { startService, written } from './start.ts'

// What the index of docs/recipes/ asks to paste, beside a server that is started as it says, and the service of Fastify's page.

const ROOT = join(import.meta.dirname, '../..')
const index = read('docs/recipes/README.md')
const PATH = `${dirname(process.execPath)}:${process.env.PATH}`

/** The blocks of that language in a section. */
function blocksOf(section: string, language: string): string[] {
  const [, text = ''] = new RegExp(`^## ${section}$([^]*?)(?=^## |(?![^]))`, 'm').exec(index) ?? []
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block = '']) => block)
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'claviger-recipes-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await layOut(await readRecipe('fastify'), folder)
  await installPackages(folder, 'verifier', ['jose', 'fastify', '@fastify/cors'])
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('the index leads to every page', async () => {
  const names = (await readdir(join(ROOT, 'docs/recipes'))).filter((name) => name !== 'README.md')
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([])
})

/** In CI all of them have to be there. */
const present = process.env.CI ? shells : shells.filter(isInstalled)

test.each(present)('a token, and what it is good for, in %s', { timeout: 60_000 }, async (shell) => {
  const [start = '', ...token] = blocksOf('A server and a token', 'sh')
  const settings = Object.fromEntries([...start.matchAll(/([A-Z]+)=(\S+)/g)].map(([, name, value]) => [name, value]))
  expect(Object.keys(settings)).toEqual(['AUDIENCE', 'SCOPES'])

  await using stack = new AsyncDisposableStack()
  const database = await cloneDatabase()
  stack.defer(() => database.drop())
  const issuer = stack.use(await prepareIssuer(database.url, settings))
  await issuer.start()
  const service = stack.use(
    await startService(await readRecipe('fastify'), folder, { issuer: issuer.url, env: { PATH } }),
  )
  const commands = [...token, ...blocksOf('Try it', 'sh')]
    .join('\n')
    .replaceAll(written.issuer, issuer.url)
    .replaceAll(`http://localhost:${written.port}`, service.url)
  const { out, complaints } = await paste(shell, commands, ROOT, { ...issuer.env, LOG_LEVEL: 'warn' })
  expect(complaints).toEqual([])
  const answers = out.match(/^[1-5]\d\d .*$/gm) ?? []
  const expected = blocksOf('Try it', 'text').join('')
  // A realm may stand after Bearer.
  const shape = (lines: string[]) => lines.map((line) => line.replace(/ realm="[^"]*"/, '').trim())
  expect(shape(answers)).toEqual(shape(expected.trim().split('\n')))
})
