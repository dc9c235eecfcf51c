import { describe, expect, test } from 'vitest'
import { keyHolder } from '../sessions/key-holder.ts'
import { granted, refresh, register, signIn, startApp } from '../sessions/support.ts'

// What a proof costs us is a signature to verify, and the sender nothing: it need not be a good one.

const LIMIT = 3

describe('at /refresh, signatures are verified as often as the address may refresh', () => {
  test.each<[string, (own: string) => string]>([
    ['with a token that is none', () => 'garbage'],
    ['with one of the sender’s own', (own) => own],
  ])('%s', async (_name, tokenOf) => {
    await using t = await startApp({ RATE_LIMIT_REFRESH_PER_MINUTE: String(LIMIT) })
    const holder = keyHolder(t)
    const { token } = await signIn(t, await register(t), 'body', {}, holder.proof('/login'))
    const forged = () => {
      const [head, body] = holder.proof('/refresh').dpop.split('.')
      return { dpop: `${head}.${body}.${'B'.repeat(85)}A` }
    }
    let verified = 0
    const { dpop } = t.deps
    const prove: typeof dpop.prove = (...rest) => {
      verified++
      return dpop.prove(...rest)
    }
    t.deps.dpop = { ...dpop, prove }
    // As many again are looked up for whoever may have lost an answer.
    const statuses: number[] = []
    for (let i = 0; i < 4 * LIMIT; i++)
      statuses.push((await refresh(t, 'body', tokenOf(token), { headers: forged() })).statusCode)
    expect(verified).toBeGreaterThanOrEqual(LIMIT)
    expect(verified).toBeLessThanOrEqual(2 * LIMIT)
    expect(statuses.slice(0, LIMIT)).toEqual(Array(LIMIT).fill(400))
    expect(statuses.slice(2 * LIMIT)).toEqual(Array(2 * LIMIT).fill(429))
    t.travel(120)
    granted(await refresh(t, 'body', token, { headers: holder.proof('/refresh') }))
  })
})
