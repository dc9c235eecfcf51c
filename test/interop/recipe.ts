import { rm } from 'node:fs/promises'
import { tryBound } from '../recipes/bound.ts'
import { prepareIssuer } from '../recipes/issuer.ts'
import { tryNative } from '../recipes/native.ts'
import { layOut, type Recipe, readRecipe } from '../recipes/page.ts'
import { tryService } from '../recipes/service.ts'
import { startService } from '../recipes/start.ts'
import { askGateway } from './gateway.ts'
import { type Program, type Run, workFolder } from './program.ts'

interface Page extends Pick<Program, 'detect' | 'prepare' | 'versions'> {
  /** Of the page in docs/recipes/, without its ending. */
  page: string
  title: string
}

interface ServiceRecipe extends Page {
  /** What makes keys old at once, so that the trial sees what happens then: texts of the page's files, and others. */
  hurry: [text: string, other: string][]
  /** For the command of the page. */
  env?: Record<string, string>
  known?: Program['known']
  /** Unless it says so, it follows the feed. */
  withoutFeed?: true
  /** The page that it goes on from: it takes tokens that are bound to a key, besides. */
  after?: string
}

/** RFC 6750 §2.1 has one space or more between `Bearer` and the token, and so have most frameworks. */
export const spacesAreHttp = { 'space-before': 'in a header, this is the good token after two spaces' }

/** Where the files of a page are laid out. */
export const recipeFolder = (page: string): string => workFolder(`recipes/${page}`)

/** What somebody has who has followed a page after the one that it goes on from. */
async function readBoth(page: string, after: string | undefined): Promise<Recipe> {
  const own = await readRecipe(page)
  if (after === undefined) return own
  const before = await readRecipe(after)
  const kept = before.files.filter(({ name }) => !own.files.some((file) => file.name === name))
  return { files: [...kept, ...own.files], copies: [...before.copies, ...own.copies], run: own.run }
}

/** Writes the files of a page where its program finds them, and leaves what was built beside them. */
async function layOutRecipe(page: string, hurry: ServiceRecipe['hurry'], after?: string): Promise<void> {
  const { files, copies } = await readBoth(page, after)
  const changed = files.map(({ name, code }) => ({
    name,
    code: hurry.reduce((text, [from, to]) => text.replace(from, to), code),
  }))
  for (const [from] of hurry) {
    if (!files.some(({ code }) => code.includes(from))) throw new Error(`the page ${page} does not say: ${from}`)
  }
  for (const { name } of files) await rm(`${recipeFolder(page)}/${name}`, { force: true })
  await layOut({ files: changed, copies }, recipeFolder(page))
}

/** What both kinds have in common: the files of the page are there before anything is built. */
const programOf = (
  { page, title, detect, prepare, versions }: Page,
  hurry: ServiceRecipe['hurry'] = [],
  after?: string,
) => ({
  name: `recipe-${page}`,
  title: `Recipe: ${title}`,
  detect,
  prepare: async (run: Run) => {
    await layOutRecipe(page, hurry, after)
    await prepare(run)
  },
  versions,
})

/** A page whose service judges the vectors over HTTP, and then is tried as its callers would. */
export function serviceRecipe({ env, hurry, known = {}, withoutFeed, after, ...page }: ServiceRecipe): Program {
  const start = async (issuer: string, signal: AbortSignal, more: Record<string, string> = {}) =>
    startService(await readRecipe(page.page), recipeFolder(page.page), { issuer, signal, env: { ...env, ...more } })
  return {
    ...programOf(page, hurry, after),
    check: async (job) => {
      await using service = await start(job.issuer, job.signal)
      return await askGateway(service.port, job)
    },
    trial: async ({ databaseUrl, signal }) => {
      await using issuer = await prepareIssuer(databaseUrl)
      await tryService(issuer, (credentials) => start(issuer.url, signal, credentials), { withoutFeed })
      if (after === undefined) return
      await issuer.start()
      await using service = await start(issuer.url, signal)
      await tryBound(issuer, service)
    },
    known,
  }
}

/** A page whose program keeps somebody signed in. */
export const nativeRecipe = (page: Page): Program => ({
  ...programOf(page),
  trial: async (trial) => tryNative(await readRecipe(page.page), { folder: recipeFolder(page.page), ...trial }),
  known: {},
})
