import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** What somebody who follows a page of docs/recipes/ has afterwards. */
export interface Recipe {
  /** Each heading that is the name of a file, with the block below it. */
  files: { name: string; code: string }[]
  /** The block below "Run it". */
  run: string
}

const folder = join(import.meta.dirname, '../../docs/recipes')

export async function readRecipe(name: string): Promise<Recipe> {
  const text = await readFile(join(folder, `${name}.md`), 'utf8')
  const blocks = [...text.matchAll(/^#+ (.+)\n\n```\w+\n([\s\S]*?)^```$/gm)].map(([, heading = '', code = '']) => ({
    name: heading,
    code,
  }))
  const run = blocks.find((block) => block.name === 'Run it')?.code ?? ''
  return { files: blocks.filter(({ name: heading }) => /^[\w./[\]-]+\.\w+$/.test(heading)), run: run.trim() }
}

/** Writes the page's files, as somebody who pastes them would. */
export async function layOut({ files }: Recipe, target: string): Promise<void> {
  for (const { name, code } of files) {
    await mkdir(dirname(join(target, name)), { recursive: true })
    await writeFile(join(target, name), code)
  }
}
