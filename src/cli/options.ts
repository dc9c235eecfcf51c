import { refuse } from './exit.ts'

export function limitOf(text: string | undefined, fallback = 50): number {
  const limit = text === undefined ? fallback : Number(text)
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000) refuse('--limit takes a whole number from 1 to 1000')
  return limit
}

/** Ends the message about an argument that is not an id. */
export const AN_ID = 'an id looks like 019a5c9e-2f6b-7c3d-8e21-5a4f0b9d7c11'
