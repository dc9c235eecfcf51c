import { type ComputeTag, computeHere } from '../../src/credentials/passwords/argon2.ts'

const tags = new Map<string, Buffer>()

/**
 * A tag follows from the text and the cost, whose salt is new for every hash: who signs in asks for what the registration has
 * computed in the same process.
 */
export const computeOnce: ComputeTag = async (text, cost, length) => {
  const key = JSON.stringify([text, cost, length])
  const tag = tags.get(key) ?? (await computeHere(text, cost, length))
  tags.set(key, tag)
  return tag
}
