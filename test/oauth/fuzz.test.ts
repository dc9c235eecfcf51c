import { expect, test } from 'vitest'
import { createTestApp } from '../support/app.ts'
import { addServiceClient } from '../support/clients.ts'
import { forFile } from '../support/for-file.ts'
import { basic, JWT_BEARER } from './authentication.ts'
import { unsigned } from './signer.ts'

const t = forFile(await createTestApp())
const { clientId } = await addServiceClient(t)

/** The same numbers at every run (mulberry32), so that what fails once fails again. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const NAMES = [
  'grant_type',
  'client_id',
  'client_secret',
  'client_assertion',
  'client_assertion_type',
  'refresh_token',
  'scope',
  'audience',
  'resource',
  '__proto__',
  'constructor',
  'grant_type[]',
  '',
]
const VALUES = [
  'client_credentials',
  'refresh_token',
  'password',
  'native',
  'web',
  clientId,
  JWT_BEARER,
  '',
  '%',
  '%00',
  '%ff',
  '%ed%a0%80',
  '%F0%9F%94%91',
  '+',
  '=',
  "' OR 1=1 --",
  '{"$ne":1}',
  'x'.repeat(3000),
  unsigned({ alg: 'RS256' }, { iss: clientId, sub: clientId, aud: 1, exp: '1e999' }),
  unsigned({ alg: ['none'] }, []),
  unsigned(null, { sub: { toString: 1 } }),
  `rt1_${'A'.repeat(120)}`,
]
/** Half of them get further than the grant type. */
const BEGINNINGS = [
  [],
  ['grant_type=client_credentials'],
  ['grant_type=refresh_token', 'client_id=native', `refresh_token=rt1_${'A'.repeat(120)}`],
  ['grant_type=client_credentials', `client_id=${clientId}`, `client_assertion_type=${JWT_BEARER}`],
]
const HEADERS = [
  undefined,
  undefined,
  'Basic',
  'Basic ====',
  'Bearer a.b.c',
  `Basic ${'A'.repeat(7000)}`,
  basic(clientId, 'wrong'),
  basic('%', '%'),
  `Basic ${Buffer.from([0, 58, 255]).toString('base64')}`,
  'Negotiate \u00ff',
]
const TYPES = [
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded; charset=utf-8',
  'application/json',
  'multipart/form-data; boundary=x',
]

test('whatever is sent is answered by an OAuth error, and never by a fault of ours', async () => {
  const below = numbers(20261127)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const seen = new Set<string>()
  for (let sent = 0; sent < 400; sent++) {
    const random = Array.from({ length: below(6) }, () => `${pick(NAMES)}=${pick(VALUES)}`)
    const fields = [...pick(BEGINNINGS), ...random]
    const authorization = pick(HEADERS)
    const answer = await t.inject({
      method: 'POST',
      url: '/oauth/token',
      // From many networks: what is wanted is the work, not the limit.
      remoteAddress: `198.51.100.${sent % 250}`,
      headers: { 'content-type': pick(TYPES), ...(authorization === undefined ? {} : { authorization }) },
      payload: fields.join(pick(['&', '&', '&&', ';'])),
    })
    const what = `${fields.join('&')} ${authorization}: ${answer.body}`
    expect([400, 401, 415, 429], what).toContain(answer.statusCode)
    expect(Object.keys(answer.json()), what).toEqual(['error', 'error_description'])
    seen.add(answer.json().error)
  }
  expect([...seen].toSorted()).toEqual(
    expect.arrayContaining(['invalid_client', 'invalid_grant', 'invalid_request', 'unsupported_grant_type']),
  )
})
