import type { Timing } from './key-source.ts'

/**
 * Runs code of the caller's. Whatever waits for it would wait for good if it never settled.
 * @throws what it throws; Error if it takes longer.
 */
export async function inTime<Result>(
  work: () => Result | Promise<Result>,
  { timeoutMs, after }: Pick<Timing, 'after'> & { timeoutMs: number },
): Promise<Result> {
  let callOff = (): void => {}
  const late = new Promise<never>((_resolve, reject) => {
    callOff = after(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs / 1000} s`)))
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    callOff()
  }
}
