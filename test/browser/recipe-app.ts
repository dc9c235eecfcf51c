import { execFile } from 'node:child_process'
import { mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { createServer } from 'vite'
import { type OrdersIssuer, prepareIssuer } from '../recipes/issuer.ts'
import { installPackages } from '../recipes/node-packages.ts'
import { layOut, readRecipe } from '../recipes/page.ts'
import { type Service, startService, written } from '../recipes/start.ts'
import { cloneDatabase } from '../support/postgres.ts'
import { freePort } from '../support/server.ts'

const TSC = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')

export interface RecipeApp extends AsyncDisposable {
  /** Of the page. */
  address: string
  issuer: OrdersIssuer
  service: Service
  /** What the compiler complains of. */
  typeCheck(): Promise<string>
}

/**
 * Pages of docs/recipes/, as somebody has them who pastes their files: Vite's server, the service, a real issuer.
 * @param pages of the application; files of later ones take the place of those of the same name.
 * @param servicePage a service on Fastify.
 */
export async function openRecipeApp(pages: string[], servicePage: string): Promise<RecipeApp> {
  await using stack = new AsyncDisposableStack()
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'claviger-react-')))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const database = await cloneDatabase()
  stack.defer(() => database.drop())
  const issuer = stack.use(await prepareIssuer(database.url, {}, 'localhost'))
  await issuer.start()
  const port = await freePort()
  const origin = `http://localhost:${port}`

  const orders = join(folder, 'orders')
  const recipe = await readRecipe(servicePage)
  await layOut(recipe, orders)
  await writeFile(join(orders, 'package.json'), '{ "type": "module" }')
  await installPackages(orders, 'verifier', ['jose', 'fastify', '@fastify/cors'])
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const service = stack.use(await startService(recipe, orders, { issuer: issuer.url, origin, env }))

  const app = join(folder, 'app')
  for (const page of pages) await layOut(await readRecipe(page), app)
  await writeFile(join(app, 'package.json'), '{ "type": "module" }')
  await installPackages(app, 'browser', ['react', 'react-dom', 'scheduler', 'vite', '@types', 'csstype'])
  const settings = join(app, 'src/auth.ts')
  const text = await readFile(settings, 'utf8')
  await writeFile(
    settings,
    text
      .replace(written.issuer, issuer.url)
      .replace(`http://localhost:${written.port}`, `http://localhost:${service.port}`),
  )
  const vite = await createServer({
    configFile: false,
    root: app,
    logLevel: 'error',
    server: { port, host: 'localhost', strictPort: true, hmr: false },
  })
  stack.defer(() => vite.close())
  await vite.listen()
  const owned = stack.move()
  return {
    address: vite.resolvedUrls?.local[0] ?? '',
    issuer,
    service,
    typeCheck: async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [TSC, '-p', app]).catch((error) => error)
      return stdout as string
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export async function signIn(page: Page, { email, password }: { email: string; password: string }): Promise<void> {
  await page.fill('input[name=email]', email)
  await page.fill('input[name=password]', password)
  await page.click('text=Sign in')
}
