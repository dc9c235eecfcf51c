import { access, open, rename, rm } from 'node:fs/promises'
import { EXIT, Failure } from './exit.ts'

/**
 * Writes a file that only its owner may read, and that has its name once it is whole: until then it is called `<path>.part`,
 * which is deleted if anything fails, and stays if the process is killed. A file that is there is kept.
 * @throws Failure; whatever `fill` throws.
 */
export async function writeWholeFile<T>(
  path: string,
  fill: (write: (text: string) => Promise<void>) => Promise<T>,
): Promise<T> {
  if (await isThere(path)) throw new Failure(EXIT.failed, `${path} is there already; nothing was written`)
  const part = `${path}.part`
  const file = await onDisk(part, open(part, 'wx', 0o600))
  try {
    const filled = await fill((text) => onDisk(part, file.writeFile(text)))
    await onDisk(part, file.sync())
    await onDisk(path, rename(part, path))
    return filled
  } catch (error) {
    await rm(part, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

async function onDisk<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const why = code === 'EEXIST' ? 'it is there: another command writes it, or was killed' : String(code)
    throw new Failure(EXIT.failed, `${path} cannot be written (${why})`)
  }
}
