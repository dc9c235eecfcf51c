import { afterAll } from 'vitest'

/** What all tests of a file share; it is disposed of after the last of them. */
export function forFile<T extends AsyncDisposable>(shared: T): T {
  afterAll(() => shared[Symbol.asyncDispose]())
  return shared
}
