import { describe, expect, test } from 'vitest'
import { faultOfOwn, faultOfWorkload } from '../../src/oauth/assertion/rules.ts'

const ISSUER = 'https://auth.example.com'
const NOW = new Date('2026-11-22T09:30:00.500Z')
const AT = Math.floor(NOW.getTime() / 1000)
const moment = { issuer: ISSUER, now: NOW }

describe('what a client has signed itself', () => {
  const good = { iss: 'cl_a', sub: 'cl_a', aud: ISSUER, exp: AT + 300, jti: 'j' }

  test.each<[string, object]>([
    ['the longest life', {}],
    ['the shortest', { exp: AT + 1 }],
    ['a fraction', { exp: AT + 0.75 }],
    ['nbf and iat of a clock that is a little ahead', { nbf: AT + 30, iat: AT + 30 }],
    ['claims that do not matter', { scope: 'admin', client_id: 'cl_b' }],
  ])('%s is right', (_what, change) => {
    expect(faultOfOwn({ ...good, ...change }, 'cl_a', moment)).toBeUndefined()
  })

  test.each<[string, object, string]>([
    ['another issuer', { iss: 'cl_b' }, 'iss'],
    ['no issuer', { iss: undefined }, 'iss'],
    ['another subject', { sub: 'cl_b' }, 'sub'],
    ['no subject', { sub: undefined }, 'sub'],
    ['another audience', { aud: 'https://other.example.com' }, 'aud'],
    ['the endpoint as audience', { aud: `${ISSUER}/oauth/token` }, 'aud'],
    ['a slash too many', { aud: `${ISSUER}/` }, 'aud'],
    ['a list of one', { aud: [ISSUER] }, 'aud'],
    ['a list with others', { aud: [ISSUER, 'https://other.example.com'] }, 'aud'],
    ['no audience', { aud: undefined }, 'aud'],
    ['no jti', { jti: undefined }, 'jti'],
    ['an empty jti', { jti: '' }, 'jti'],
    ['a jti that is no text', { jti: 1 }, 'jti'],
    ['a long jti', { jti: 'j'.repeat(256) }, 'jti'],
    ['a second too long a life', { exp: AT + 301 }, 'exp'],
    ['a life without end', { exp: Number.MAX_VALUE }, 'exp'],
    ['one that is over', { exp: AT }, 'exp'],
    ['no end', { exp: undefined }, 'exp'],
    ['an end as text', { exp: String(AT + 60) }, 'exp'],
    ['a beginning in the future', { nbf: AT + 31 }, 'nbf'],
    ['a beginning as text', { nbf: String(AT) }, 'nbf'],
    ['made in the future', { iat: AT + 31 }, 'iat'],
    ['made before there was time', { iat: -1 }, 'iat'],
  ])('%s is not', (_what, change, fault) => {
    expect(faultOfOwn({ ...good, ...change }, 'cl_a', moment)).toBe(fault)
  })
})

describe('what the issuer of a workload has signed', () => {
  const registered = {
    issuer: 'https://k8s.example.com',
    subject: 'system:serviceaccount:shop:orders',
    claims: { repo: 'a/b' },
  }
  const good = { iss: registered.issuer, sub: registered.subject, aud: ISSUER, exp: AT + 86_400, repo: 'a/b' }

  test.each<[string, object]>([
    ['a day of life', {}],
    ['a list of one audience', { aud: [ISSUER] }],
    ['no jti', { jti: undefined }],
  ])('%s is right', (_what, change) => {
    expect(faultOfWorkload({ ...good, ...change }, registered, moment)).toBeUndefined()
  })

  test.each<[string, object, string]>([
    ['another issuer', { iss: 'https://k8s.example.com/' }, 'iss'],
    ['another subject', { sub: 'system:serviceaccount:shop:orders2' }, 'sub'],
    ['a subject in capitals', { sub: registered.subject.toUpperCase() }, 'sub'],
    ['a pattern as subject', { sub: 'system:serviceaccount:shop:*' }, 'sub'],
    ['a list of subjects', { sub: [registered.subject] }, 'sub'],
    ['another audience', { aud: 'https://other.example.com' }, 'aud'],
    ['ours among others', { aud: [ISSUER, 'https://other.example.com'] }, 'aud'],
    ['ours twice', { aud: [ISSUER, ISSUER] }, 'aud'],
    ['no audience', { aud: undefined }, 'aud'],
    ['an empty list of audiences', { aud: [] }, 'aud'],
    ['a claim missing', { repo: undefined }, 'claims'],
    ['a claim with more', { repo: 'a/b/c' }, 'claims'],
    ['a claim as a list', { repo: ['a/b'] }, 'claims'],
    ['a second too long a life', { exp: AT + 86_401 }, 'exp'],
    ['one that is over', { exp: AT }, 'exp'],
    ['a beginning in the future', { nbf: AT + 31 }, 'nbf'],
  ])('%s is not', (_what, change, fault) => {
    expect(faultOfWorkload({ ...good, ...change }, registered, moment)).toBe(fault)
  })

  test('a claim that every object has is not taken for one of the token', () => {
    const claims = { toString: String(Object.prototype.toString) }
    expect(faultOfWorkload(good, { ...registered, claims }, moment)).toBe('claims')
  })
})
