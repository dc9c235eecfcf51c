/** How many letters to insert, delete, replace, or swap with their neighbour (Damerau–Levenshtein). */
export function editDistance(a: string, b: string): number {
  let previous: number[] = []
  let current = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const next = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      const at = (list: number[], index: number) => list[index] ?? Number.POSITIVE_INFINITY
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      next.push(
        Math.min(
          at(current, column) + 1,
          at(next, column - 1) + 1,
          at(current, column - 1) + (same ? 0 : 1),
          swapped ? at(previous, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    previous = current
    current = next
  }
  return current[b.length] ?? 0
}
