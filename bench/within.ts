/**
 * Waits for another process, which may hang: a bench that hangs with it tells nobody where.
 * @throws Error that names what was waited for, after `seconds`.
 */
export async function within<T>(seconds: number, what: string, wait: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const alarm = setTimeout(() => reject(new Error(`${what}: nothing in ${seconds} s`)), seconds * 1000)
  try {
    return await Promise.race([wait, late])
  } finally {
    clearTimeout(alarm)
  }
}
