import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

export interface StaticFile {
  body: Buffer
  headers: Record<string, string>
}

/** A file of the built page. @returns undefined if there is none, or if the path leads out of the folder. */
export async function staticFile(folder: string, path: string): Promise<StaticFile | undefined> {
  const name = normalize(path === '/' ? '/index.html' : path)
  const type = types[extname(name)]
  if (!type || name.includes('\0') || name.startsWith('/..')) return undefined
  const body = await readFile(join(folder, name)).catch(() => undefined)
  if (!body) return undefined
  // Vite puts a hash of the content into the names of what it builds.
  const cache = name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
  return { body, headers: { 'content-type': type, 'cache-control': cache } }
}
