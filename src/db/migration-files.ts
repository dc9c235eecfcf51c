import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url))

export interface Migration {
  name: string
  text: string
}

/** `migrations/*.sql` in order of name. Forward only: there is no down. */
export async function readMigrations(): Promise<Migration[]> {
  const files = (await readdir(FOLDER)).filter((file) => /^\d{4}_[a-z0-9_]+\.sql$/.test(file)).toSorted()
  return await Promise.all(
    files.map(async (file) => ({
      name: file.replace(/\.sql$/, ''),
      text: await readFile(new URL(file, `file://${FOLDER}`), 'utf8'),
    })),
  )
}

/** The tables that migrations create. */
export function tablesOf(migrations: readonly Migration[]): string[] {
  return migrations.flatMap(({ text }) =>
    [...text.matchAll(/^CREATE (?:UNLOGGED )?TABLE (\w+)/gm)].map(([, name]) => name ?? ''),
  )
}

/** Comments; quoted text, which may hold anything; bodies of functions, whose END stands at the beginning of a line. */
const TOKENS =
  /(?<comment>--.*|\/\*[^]*?\*\/)|'[^']*'|"[^"]*"|(?<dollars>\$\w*\$)[^]*?\k<dollars>|^BEGIN ATOMIC$[^]*?^END\b|[^]/gm

/**
 * Divides a migration into its statements. Citus hands the text in which it finds a statement to its workers, and they take one
 * statement at a time.
 */
export function statementsOf(text: string): string[] {
  const statements = ['']
  for (const { 0: token, groups } of text.matchAll(TOKENS)) {
    if (groups?.comment !== undefined) continue
    if (token === ';') statements.push('')
    else statements[statements.length - 1] += token
  }
  return statements.map((statement) => statement.trim()).filter(Boolean)
}
