import { beforeEach, describe, expect, test } from 'vitest'
import type { ServiceClient } from '../../src/clients/service.ts'
import { Problem } from '../../src/errors.ts'
import { NO_REQUEST } from '../../src/facts.ts'
import { createVisitorProof, type VisitorProof } from '../../src/oauth/visitor-proof.ts'

// How long a proof is remembered, and of whom. The rest is in test/http/guards/visitors.test.ts, with everything real.

let prove: VisitorProof
let asked: string[]
let answer: () => Promise<ServiceClient>

const SITE: ServiceClient = {
  id: 'cl_site',
  name: 'site',
  scopes: [],
  audiences: ['orders'],
  accessTokenSeconds: 600,
  auth: { method: 'client_secret_basic' },
  statesVisitorAddress: true,
  dpopRequired: false,
  secrets: [],
  changedAt: new Date(0),
}

beforeEach(() => {
  asked = []
  answer = async () => SITE
  prove = createVisitorProof(async (_operation, { authorization, network }) => {
    asked.push(`${authorization} from ${network}`)
    return await answer()
  })
})

const ask = (milliseconds: number, authorization = 'Basic right', network = '192.0.2.1') => {
  const operation = { now: new Date(milliseconds), actor: 'anonymous', facts: NO_REQUEST } as const
  const unlimited = { spendFailure: async () => {}, turnAway: async () => {} }
  return prove(operation, { authorization, network, form: {}, ...unlimited })
}
const refuse = async (): Promise<never> => {
  throw new Problem('invalid_client')
}

test('a second of requests costs one look-up, also where they come at once', async () => {
  expect(await Promise.all([ask(0), ask(0), ask(500), ask(999)])).toEqual(Array(4).fill('cl_site'))
  expect(asked).toHaveLength(1)
  await ask(1000)
  expect(asked).toHaveLength(2)
})

test('a client that was disabled is believed for less than a second', async () => {
  await ask(0)
  answer = refuse
  expect(await ask(999)).toBe('cl_site')
  await expect(ask(1000)).rejects.toThrow('invalid_client')
  await expect(ask(1001)).rejects.toThrow('invalid_client')
})

describe('what was proved is proved for nobody else', () => {
  test.each([
    ['with other credentials', 'Basic other', undefined],
    ['from another network, whose failures are counted by themselves', undefined, '192.0.2.2'],
  ])('%s', async (_case, authorization, network) => {
    await ask(0)
    answer = refuse
    await expect(ask(1, authorization, network)).rejects.toThrow('invalid_client')
    expect(await ask(2)).toBe('cl_site')
  })
})

test('a refusal is not remembered', async () => {
  answer = refuse
  await expect(ask(0)).rejects.toThrow('invalid_client')
  answer = async () => SITE
  expect(await ask(1)).toBe('cl_site')
  expect(asked).toHaveLength(2)
})

test('a client that may state no addresses is told so', async () => {
  answer = async () => ({ ...SITE, statesVisitorAddress: false })
  await expect(ask(0)).rejects.toMatchObject({ code: 'invalid_request', status: 400 })
})

test('strangers do not fill the memory', async () => {
  const made = Array.from({ length: 1001 }, (_, index) => `Basic ${index}`)
  for (const each of made) await ask(0, each)
  asked = []
  await ask(1, made.at(-1))
  expect(asked).toEqual([])
  await ask(1, made[0])
  expect(asked).toHaveLength(1)
})

test('guesses push nothing out that was proved, however many are under way', async () => {
  await ask(0)
  answer = refuse
  await Promise.allSettled(Array.from({ length: 1001 }, (_, index) => ask(1, `Basic ${index}`)))
  asked = []
  expect(await ask(2)).toBe('cl_site')
  expect(asked).toEqual([])
})
