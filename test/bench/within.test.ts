import { expect, test } from 'vitest'
import { within } from '../../bench/within.ts'

test('what does not come in its time is an error that names it', async () => {
  await expect(within(0.01, 'the end of prune', new Promise(() => {}))).rejects.toThrow('the end of prune: nothing in')
})

test('what comes is passed on, be it an error', async () => {
  expect(await within(60, 'it', Promise.resolve(7))).toBe(7)
  await expect(within(60, 'it', Promise.reject(new Error('ended')))).rejects.toThrow('ended')
})
