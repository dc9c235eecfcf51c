import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recipeFolder, serviceRecipe } from '../recipe.ts'
import { build, detect } from './program.ts'

const folder = recipeFolder('spring')

export const spring = serviceRecipe({
  page: 'spring',
  title: 'Spring Boot',
  withoutFeed: true,
  hurry: [
    ['Duration.ofMinutes(5)', 'Duration.ofSeconds(1)'],
    ['now == null ? 1 : 30', '1'],
  ],
  detect,
  prepare: (run) => build(folder, join(folder, 'target'), 'package', run),
  versions: async () => {
    const [, version] = /<version>([\d.]+)</.exec(await readFile(join(folder, 'pom.xml'), 'utf8')) ?? []
    return `Spring Boot ${version}`
  },
})
