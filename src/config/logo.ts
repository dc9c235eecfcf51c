import { readFileSync } from 'node:fs'

const TYPES: Record<string, string> = { svg: 'image/svg+xml', png: 'image/png', webp: 'image/webp' }
/** Every page shows it, on slow connections too. */
const MOST_BYTES = 64 * 1024

/** The media type of a logo by the ending of its name. */
export function logoType(path: string): string {
  return TYPES[/\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? ''] ?? ''
}

/** The path of a picture for pages. It is read here, so that a missing file is a fault of the settings. */
export function logo(path: string): string {
  if (logoType(path) === '') throw new Error('must name a file that ends in .svg, .png or .webp')
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw new Error(`names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  if (bytes.length === 0 || bytes.length > MOST_BYTES)
    throw new Error(`names a file of ${bytes.length} bytes: it must have some, and at most ${MOST_BYTES}`)
  return path
}
