import { editDistance } from '../config/edit-distance.ts'

/** How many letters of a word may be wrong. A short word with two wrong letters is another word. */
function forgiven(word: string): number {
  return word.length < 4 ? 1 : 2
}

/** The one of `names` that was probably meant, with its words in any order. */
export function suggest(typed: readonly string[], names: readonly string[]): string | undefined {
  const [best] = names
    .flatMap((name) => {
      const words = name.split(' ')
      const distances = [typed, typed.toReversed()].map((order) => distanceOf(order, words))
      return [{ name, distance: Math.min(...distances) }]
    })
    .filter(({ distance }) => distance < Number.POSITIVE_INFINITY)
    .toSorted((a, b) => a.distance - b.distance)
  return best?.name
}

function distanceOf(typed: readonly string[], words: readonly string[]): number {
  if (typed.length !== words.length) return Number.POSITIVE_INFINITY
  const distances = words.map((word, index) => {
    const distance = editDistance(typed[index]?.toLowerCase() ?? '', word)
    return distance <= forgiven(word) ? distance : Number.POSITIVE_INFINITY
  })
  return distances.reduce((sum, distance) => sum + distance, 0)
}
