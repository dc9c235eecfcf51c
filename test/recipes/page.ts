import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

/** What somebody who follows a page of docs/recipes/ has afterwards. */
export interface Recipe {
  /** Each heading that is the name of a file, with the block below it. */
  files: { name: string; code: string }[]
  /** Lines that take a file from the clone, which is in ~/claviger. */
  copies: string[]
  /** The block below "Run it". */
  run: string
}

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'docs/recipes')

export async function readRecipe(name: string): Promise<Recipe> {
  const text = await readFile(join(folder, `${name}.md`), 'utf8')
  const blocks = [...text.matchAll(/^#+ (.+)\n\n```\w+\n([\s\S]*?)^```$/gm)].map(([, heading = '', code = '']) => ({
    name: heading,
    code,
  }))
  const run = blocks.find((block) => block.name === 'Run it')?.code ?? ''
  return {
    files: blocks.filter(({ name: heading }) => /^[\w./[\]-]+\.\w+$/.test(heading)),
    copies: text.match(/^(cp|sed) .*~\/claviger\/.*$/gm) ?? [],
    run: run.trim(),
  }
}

/** Writes the page's files, as somebody who pastes them would. */
export async function layOut({ files, copies }: Omit<Recipe, 'run'>, target: string): Promise<void> {
  for (const { name, code } of files) {
    await mkdir(dirname(join(target, name)), { recursive: true })
    await writeFile(join(target, name), code)
  }
  for (const line of copies) {
    await promisify(execFile)('sh', ['-c', line.replaceAll('~/claviger', root)], { cwd: target })
  }
}
