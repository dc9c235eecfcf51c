import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { Client } from '../../../src/clients/clients.ts'
import { type Grant, grantNow, type Narrowing } from '../../../src/clients/grants.ts'
import { Problem } from '../../../src/errors.ts'
import { createTestApp } from '../../support/app.ts'
import { claimsOf } from '../../support/jwt.ts'
import {
  eventsOf,
  expectRefused,
  family,
  granted,
  refresh,
  register,
  type SignedIn,
  signIn,
  startApp,
} from '../support.ts'

const SCOPES = ['account', 'orders:read', 'orders:write', 'admin']
const AUDIENCES = ['orders', 'billing', 'shipping']

const clientWith = (scopes: readonly string[], audiences: readonly string[]): Client => ({
  id: 'native',
  type: 'native',
  delivery: 'body',
  origins: new Set(),
  scopes,
  audiences,
  lifetimes: { sessionIdle: 1, sessionMax: 1, rememberIdle: 1, rememberMax: 1, accessToken: 1 },
  dpopRequired: false,
})

/** The grant, its lists in the order of the alphabet, or the code of the refusal. */
function outcome(client: Client, granted: Grant, asked: Narrowing): Grant | string {
  try {
    const { scope, audience } = grantNow(client, granted, asked)
    return { scope: scope.toSorted(), audience: audience.toSorted() }
  } catch (error) {
    if (error instanceof Problem) return error.code
    throw error
  }
}

/** The rule in the words of RFC 8707 and RFC 6749 §6, item by item. */
function expected(may: readonly string[], had: readonly string[], asked: readonly string[] | null) {
  if (asked?.some((item) => !had.includes(item))) return undefined
  const left = had.filter((item) => may.includes(item) && (asked === null || asked.includes(item)))
  return left.length > 0 ? left.toSorted() : undefined
}

describe('what a refresh is issued for', () => {
  const some = (items: string[]) => fc.subarray(items, { minLength: 1 })
  const none = (items: string[]) => fc.option(some(items), { nil: null })

  test('is never more than was granted, was asked for, and the client may have now', () => {
    fc.assert(
      fc.property(
        fc.subarray(SCOPES),
        some(AUDIENCES),
        some(SCOPES),
        some(AUDIENCES),
        none(SCOPES),
        none(AUDIENCES),
        (mayScope, mayAudience, scope, audience, askScope, askAudience) => {
          const found = outcome(
            clientWith(mayScope, mayAudience),
            { scope, audience },
            { scope: askScope, audience: askAudience },
          )
          const wantedScope = expected(mayScope, scope, askScope)
          const wantedAudience = expected(mayAudience, audience, askAudience)
          if (!wantedScope) expect(found).toBe('invalid_scope')
          else if (!wantedAudience) expect(found).toBe('invalid_target')
          else expect(found).toEqual({ scope: wantedScope, audience: wantedAudience })
        },
      ),
    )
  })

  test.each<[string, Parameters<typeof grantNow>, unknown]>([
    [
      'an audience that was taken away is not replaced by one that was never granted',
      [
        clientWith(['account'], ['billing']),
        { scope: ['account'], audience: ['orders'] },
        { scope: null, audience: null },
      ],
      'invalid_target',
    ],
    [
      'nor is a scope',
      [
        clientWith(['account'], ['billing']),
        { scope: ['admin'], audience: ['billing'] },
        { scope: null, audience: null },
      ],
      'invalid_scope',
    ],
    [
      'what is left of several is issued',
      [
        clientWith(['account'], ['billing']),
        { scope: ['account', 'admin'], audience: ['orders', 'billing'] },
        { scope: null, audience: null },
      ],
      { scope: ['account'], audience: ['billing'] },
    ],
  ])('%s', (_name, input, wanted) => {
    expect(outcome(...input)).toEqual(wanted)
  })
})

/** Replicas of one database whose operators allow different things, as before and after a change of the settings. */
describe('on a server whose settings have changed', async () => {
  const before = await startApp({ AUDIENCE: AUDIENCES.join(), SCOPES: 'orders:read,orders:write,admin' })
  const after = await Promise.all(
    [
      { AUDIENCE: 'orders', SCOPES: 'orders:read' },
      { AUDIENCE: 'billing,shipping', SCOPES: '' },
      { AUDIENCE: 'shipping,orders', SCOPES: 'admin,orders:write' },
    ].map((env) => createTestApp({ join: before, env })),
  )
  afterAll(async () => {
    for (const t of [...after, before]) await t[Symbol.asyncDispose]()
  })
  const user = await register(before)

  test.each([0, 8])(
    'a grant of which nothing is left is 400, and the token is not used up (with %i neighbours)',
    async (n) => {
      const [, t] = after
      if (!t) throw new Error('there are three')
      const neighbours: SignedIn[] = []
      while (neighbours.length < n) neighbours.push(await signIn(before, user, 'body', { audience: 'billing' }))
      const { token, sid } = await signIn(before, user, 'body', { audience: 'orders' })
      // The neighbours first: of those that come together the first goes alone.
      const answers = await Promise.all([...neighbours, { token }].map((each) => refresh(t, 'body', each.token)))
      const answer = answers.pop()
      for (const each of answers) expect(each.statusCode).toBe(200)
      expect([answer?.statusCode, answer?.json().code]).toEqual([400, 'invalid_target'])
      expect(await family(before, sid)).toMatchObject({ generation: 0, ended_at: null, window_count: 0 })
      const renewed = await refresh(before, 'body', token)
      expect(claimsOf(renewed.json().access_token).aud).toBe('orders')
      // A retry is no way around it, and changes nothing either.
      expect((await refresh(t, 'body', token)).statusCode).toBe(400)
      expect(granted(await refresh(before, 'body', token))).toBe(granted(renewed))
      expect(await eventsOf(before, sid)).toEqual([])
    },
  )

  test('a client that is gone is refused like any other cause, and the token is not used up', async () => {
    const { token, sid } = await signIn(before, user)
    await before.db.updateTable('families').set({ client_id: 'gone' }).where('id', '=', sid).execute()
    expectRefused(await refresh(before, 'body', token))
    expect(await family(before, sid)).toMatchObject({ generation: 0, ended_at: null })
  })

  test('whatever was granted and is asked for, tokens say no more than the settings do', async () => {
    const subset = (items: string[]) => fc.subarray(items, { minLength: 1 })
    const asked = (items: string[]) => fc.option(subset(items), { nil: undefined })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...after),
        subset(SCOPES),
        subset(AUDIENCES),
        asked(SCOPES),
        asked(AUDIENCES),
        async (t, scope, audience, askScope, askAudience) => {
          const { token, sid } = await signIn(before, user, 'body', { scope: scope.join(' '), audience })
          const answer = await refresh(t, 'body', token, {
            body: {
              ...(askScope && { scope: askScope.join(' ') }),
              ...(askAudience && { audience: askAudience }),
            },
          })
          const scopes = expected(['account', ...t.config.SCOPES], scope, askScope ?? null)
          const audiences = expected(t.config.AUDIENCE, audience, askAudience ?? null)
          if (scopes && audiences) {
            const claims = claimsOf(answer.json().access_token)
            expect(String(claims.scope).split(' ').toSorted()).toEqual(scopes)
            expect(([claims.aud].flat() as string[]).toSorted()).toEqual(audiences)
          } else {
            expect([answer.statusCode, answer.json().code]).toEqual([400, scopes ? 'invalid_target' : 'invalid_scope'])
            expect(await family(before, sid)).toMatchObject({ generation: 0 })
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})
