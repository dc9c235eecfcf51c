import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { TestApp } from '../support/app.ts'
import { answer, createDevice, type Device, only, signUp, startIssuer } from './browser-support.ts'

// The browser package where the wall clock of the device is wrong, and where it is set meanwhile.

const HOUR = 3_600_000

let t: TestApp
let device: Device

beforeEach(async () => {
  const started = await startIssuer()
  t = started.t
  device = createDevice(started.issuer)
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  await t[Symbol.asyncDispose]()
})

const refreshes = () => device.network.to('/refresh').length

const realNow = Date.now.bind(Date)
/** From now on the device's clock is so many milliseconds ahead. */
const setClock = (ahead: number) => void vi.spyOn(Date, 'now').mockImplementation(() => realNow() + ahead)

/** The app is started at an issuer that asks to wait. */
async function startInTrouble(retryAfter: string): Promise<void> {
  const asked = refreshes()
  device.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }, { 'retry-after': retryAfter }))
  await expect(device.restart().ready).rejects.toMatchObject({ code: 'unavailable' })
  expect(refreshes()).toBe(asked + 1)
  device.network.interfere = undefined
}

describe('a Retry-After that is kept for the next start', () => {
  test.each([
    ['an hour ahead', HOUR],
    ['a minute ahead', 60_000],
    ['a day ahead', 24 * HOUR],
  ])('does not count once a clock that was %s is corrected', async (_name, ahead) => {
    const { user } = await signUp(device)
    setClock(ahead)
    await startInTrouble('30')
    setClock(0)
    expect(await device.restart().ready).toEqual(user)
    expect(refreshes()).toBe(2)
  })

  test('does not count once the clock has been set forward over it', async () => {
    const { user } = await signUp(device)
    await startInTrouble('3600')
    setClock(2 * HOUR)
    expect(await device.restart().ready).toEqual(user)
  })

  test('counts while the clock is right, and for an hour at most', async () => {
    await signUp(device)
    await startInTrouble('86400')
    await expect(device.restart().ready).rejects.toMatchObject({ code: 'unavailable', status: 503 })
    setClock(HOUR - 60_000)
    await expect(device.restart().ready).rejects.toMatchObject({ code: 'unavailable', status: 503 })
    expect(refreshes()).toBe(1)
    setClock(HOUR + 2000)
    expect(await device.restart().ready).not.toBeNull()
  })

  test.each([
    ['without the time at which it was written', { wait: HOUR }],
    ['written in the future', { wait: 30_000, waitingSince: realNow() + HOUR }],
    ['no number', { wait: 'soon', waitingSince: 'now' }],
  ])('does not count: %s', async (_name, changes) => {
    const { user } = await signUp(device)
    device.storage.change(changes)
    expect(await device.restart().ready).toEqual(user)
  })
})

test('a Retry-After that is a date is measured by the clock of who says it', async () => {
  await signUp(device)
  setClock(-10 * HOUR)
  const date = (seconds: number) => new Date(realNow() + seconds * 1000).toUTCString()
  const headers = { 'retry-after': date(120), date: date(0) }
  device.network.interfere = only('/refresh', answer(503, { code: 'unavailable' }, headers))
  const error = await device.restart().ready.catch((caught: unknown) => caught)
  expect((error as { retryAfter: number }).retryAfter).toBe(120)
})

test('signed in with a clock that is ahead: once it is corrected, who signs in or out next is the later one', async () => {
  setClock(HOUR)
  const { email, password, user } = await signUp(device)
  setClock(0)
  expect(await device.restart().ready).toEqual(user)
  await device.client.logout()
  expect(await device.restart().ready).toBeNull()
  await device.client.login({ email, password })
  expect(await device.restart().ready).toEqual(user)
})
