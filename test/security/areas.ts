import { type ComputeTag, computeHere } from '../../src/credentials/passwords/argon2.ts'

/**
 * How well one can tell from the time of an answer which of two classes it is of: the probability that a random sample of
 * the second took longer than one of the first. 0.5 is a coin.
 */
export function areaUnderCurve(first: number[], second: number[]): number {
  let wins = 0
  for (const a of first) for (const b of second) wins += b > a ? 1 : b === a ? 0.5 : 0
  return wins / (first.length * second.length)
}

/**
 * Measures in rounds, each class once, until no area is near the limit or there are many: a coin that is tossed a hundred times
 * strays by 0.1 now and then, one that is tossed four hundred times does not.
 */
export async function areasOf<Each extends string>(
  classes: readonly Each[],
  reference: Each,
  measure: (each: Each) => Promise<number>,
): Promise<Record<Each, number>> {
  for (let warm = 0; warm < 10; warm++) for (const each of classes) await measure(each)
  const times = Object.fromEntries(classes.map((each) => [each, [] as number[]])) as Record<Each, number[]>
  const areas = () => classes.map((each) => areaUnderCurve(times[reference], times[each]))
  for (let round = 1; round <= 400; round++) {
    // Another order each round, so that no class always follows the same one.
    for (const each of classes.toSorted(() => Math.random() - 0.5)) times[each].push(await measure(each))
    if (round % 50 === 0 && areas().every((area) => Math.abs(area - 0.5) < 0.06)) break
  }
  const result = Object.fromEntries(classes.map((each, index) => [each, areas()[index]])) as Record<Each, number>
  console.log(`${times[reference].length} rounds, against ${reference}: ${JSON.stringify(result)}`)
  return result
}

/**
 * With a quarter of the memory that each hash states: kinds of hashes stay as unlike as they are, and whatever else differs shows
 * the better.
 */
export const computeLightly: ComputeTag = (text, cost, length) =>
  computeHere(text, 'scheme' in cost ? cost : { ...cost, memoryKib: cost.memoryKib / 4 }, length)
