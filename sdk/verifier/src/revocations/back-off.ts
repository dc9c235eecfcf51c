const BACKOFF = { base: 200, most: 10_000 }
/** What the other side may ask for by `Retry-After`, in milliseconds. */
const MAX_ASKED = 60_000

/**
 * With full jitter, so that a fleet that lost its issuer at one moment does not come back all at once.
 * @param failures in a row, 1 or more.
 * @param retryAfter as the answer's header has it.
 * @returns milliseconds.
 */
export function backOff(failures: number, retryAfter?: string | null): number {
  const asked = /^\d{1,9}$/.test(retryAfter ?? '') ? Math.min(MAX_ASKED, Number(retryAfter) * 1000) : 0
  return asked + Math.random() * Math.min(BACKOFF.most, BACKOFF.base * 2 ** (failures - 1))
}
