import { expect, test } from 'vitest'
import { createHttpApp } from '../support.ts'

const SOME = 400

/** The request lines of so many successes and refusals. */
async function lines(sample: string) {
  await using t = await createHttpApp(
    (app) => {
      app.get('/fine', { config: { access: 'public' } }, () => 'fine')
    },
    { env: { LOG_SUCCESS_SAMPLE: sample } },
  )
  t.logs.length = 0
  for (let sent = 0; sent < SOME; sent++) {
    await t.app.inject('/fine')
    await t.app.inject('/missing')
  }
  const requests = t.logs.filter(({ msg }) => msg === 'request')
  const { values } = await t.metrics.requestSeconds.get()
  return {
    successes: requests.filter(({ status }) => status === 200),
    refusals: requests.filter(({ status }) => status === 404),
    measured: values.find(
      ({ metricName, labels }) => metricName === 'claviger_http_request_seconds_count' && labels.route === '/fine',
    )?.value,
  }
}

test('every request has a line unless told otherwise', async () => {
  const { successes, refusals } = await lines('')
  expect(successes).toHaveLength(SOME)
  expect(refusals).toHaveLength(SOME)
  expect(successes[0]).not.toHaveProperty('sample')
})

test('a share of the successes is logged and says so; refusals always, and all are measured', async () => {
  const { successes, refusals, measured } = await lines('0.25')
  expect(successes.length).toBeGreaterThan(SOME * 0.1)
  expect(successes.length).toBeLessThan(SOME * 0.45)
  expect(successes.every(({ sample }) => sample === 0.25)).toBe(true)
  expect(refusals).toHaveLength(SOME)
  expect(refusals.some((line) => 'sample' in line)).toBe(false)
  expect(measured).toBe(SOME)
})

test('0 logs refusals only', async () => {
  const { successes, refusals } = await lines('0')
  expect(successes).toEqual([])
  expect(refusals).toHaveLength(SOME)
})
