import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { type Run, sourceFolder } from '../program.ts'
import { nativeRecipe, recipeFolder, serviceRecipe, spacesAreHttp } from '../recipe.ts'
import { detectGo, env, versionsIn } from './program.ts'

/** With our go.mod and go.sum instead of what `go get` would find today. @param modules the page that has them. */
const build =
  (page: string, modules = page) =>
  async (run: Run) => {
    const folder = recipeFolder(page)
    await cp(join(sourceFolder('go'), 'recipes', modules), folder, { recursive: true })
    await run({ file: 'go', args: ['build', '-o', executableOf(page), '.'], cwd: folder, env })
  }

const executableOf = (page: string): string => join(recipeFolder(page), 'client')

export const goMiddleware = serviceRecipe({
  page: 'go',
  title: 'Go',
  hurry: [['RefreshInterval: 5 * time.Minute', 'RefreshInterval: time.Second']],
  detect: detectGo(25),
  prepare: build('go'),
  versions: versionsIn(executableOf('go'), ['golang-jwt', 'keyfunc']),
  known: spacesAreHttp,
  env,
})

export const boundGo = serviceRecipe({
  page: 'dpop-go',
  after: 'go',
  title: 'Go, tokens bound to a key',
  hurry: [['RefreshInterval: 5 * time.Minute', 'RefreshInterval: time.Second']],
  detect: detectGo(25),
  prepare: build('dpop-go', 'go'),
  versions: versionsIn(executableOf('dpop-go'), ['golang-jwt', 'keyfunc']),
  known: spacesAreHttp,
  env,
})

export const nativeGo = nativeRecipe({
  page: 'native-go',
  title: 'a native client in Go',
  detect: detectGo(26),
  prepare: build('native-go'),
  versions: versionsIn(executableOf('native-go'), ['term']),
})
