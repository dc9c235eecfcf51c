import { randomBytes } from 'node:crypto'
import { link, readFile, unlink, writeFile } from 'node:fs/promises'

/**
 * Returns the content of a file that only its owner may read, creating it at the first call. If several processes
 * create it at the same moment, one wins and all return what it wrote, because linking shows the whole file or none.
 */
export async function createOnce(path: string, make: () => string): Promise<string> {
  const present = await readFile(path, 'utf8').catch(() => undefined)
  if (present !== undefined) return present.trim()
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, make(), { mode: 0o600, flag: 'wx' })
  try {
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  return (await readFile(path, 'utf8')).trim()
}
