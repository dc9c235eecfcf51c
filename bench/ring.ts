/** First in, first out. An array's shift() would cost more than the request when there are many chains. */
export interface Ring {
  take(): string | undefined
  put(token: string): void
}

export function createRing(tokens: string[]): Ring {
  let items = tokens
  let head = 0
  return {
    take: () => {
      if (head > 4096 && head * 2 > items.length) {
        items = items.slice(head)
        head = 0
      }
      const token = items[head]
      if (token !== undefined) head++
      return token
    },
    put: (token) => void items.push(token),
  }
}
