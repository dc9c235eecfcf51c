import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Answer } from '../../bench/connection.ts'
import { below, form, member, render } from '../../bench/peers/adapter.ts'
import { combine, sourceOf } from '../../bench/peers/measure.ts'
import { authorization } from '../../bench/peers/oauth.ts'
import { type Peer, readOptions } from '../../bench/peers/options.ts'
import { costOf, formatPeers, type PeerLine } from '../../bench/peers/table.ts'

const answer = (status: number, body = '', head = ''): Answer => ({ status, head, body })
const read = (args: string, env: NodeJS.ProcessEnv = {}) => readOptions(args.split(' '), env)
const peerOf = (args: string, env?: NodeJS.ProcessEnv): Peer => read(args, env).peers[0] as Peer

describe('options of npm run bench:peers', () => {
  test('all rows by default, and the servers that were given', () => {
    const { rows, peers, users, seconds, warm, json } = read('--supabase http://127.0.0.1:9999 --claviger http://c:1')
    expect(peers.map(({ name, url }) => [name, url.href])).toEqual([
      ['Claviger', 'http://c:1/'],
      ['Supabase Auth', 'http://127.0.0.1:9999/'],
    ])
    expect({ rows, users, seconds, warm, json }).toEqual({
      rows: ['sign-in', 'refresh', 'client-credentials'],
      users: 100,
      seconds: 8,
      warm: 2,
      json: false,
    })
  })

  test('the process of a server goes to that server, any other to what they store in', () => {
    const pid = process.pid
    const { peers, stores } = read(`refresh --keratin http://k --pid keratin=${pid} --pid redis=${process.ppid}`)
    expect(peers.map((peer) => peer.pid)).toEqual([pid])
    expect([...stores]).toEqual([['redis', process.ppid]])
  })

  test.each([
    ['', 'no server'],
    ['refresh', 'no server'],
    ['sign-out --claviger http://c', 'sign-out'],
    ['--claviger http://c --pid claviger', 'NAME=PID'],
    // Above the largest that Linux gives.
    ['--claviger http://c --pid claviger=4194305', 'no such process'],
    ['--claviger http://c --users 0', '0 is not'],
    ['--claviger http://c --seconds some', 'some is not'],
    ['--claviger nowhere', 'URL'],
  ])('"%s" is refused', (args, reason) => {
    expect(() => readOptions(args.split(' ').filter(Boolean), {})).toThrow(reason)
  })

  test('secrets come from the environment, and only with one are there client credentials', () => {
    const args = '--oauth http://o/token --oauth-client c'
    const withSecret = peerOf(args, { OAUTH_CLIENT_SECRET: 's' })
    expect(withSecret.clientCredentials?.().headers?.authorization).toBe(`Basic ${btoa('c:s')}`)
    expect(peerOf(args).clientCredentials).toBeUndefined()
    expect(withSecret.refresh).toBeUndefined()
  })

  test('refresh tokens of an OAuth server come from a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-'))
    try {
      writeFileSync(join(folder, 'tokens'), 'one\ntwo\n\n')
      const peer = peerOf(`--oauth http://o/token --oauth-tokens ${join(folder, 'tokens')}`)
      expect(peer.credentials).toEqual(['one', 'two'])
      expect(peer.refresh?.('one').body).toBe('grant_type=refresh_token&refresh_token=one&client_id=bench')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('requests', () => {
  test('go below the path at which a proxy has put the server', () => {
    expect(below(new URL('http://a/auth/'), '/token')).toBe('http://a/auth/token')
    const text = render(new URL('http://a:1/auth'), form('/token', { user: 'ü&' }))
    expect(text).toBe(
      'POST /auth/token HTTP/1.1\r\nhost: a:1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 14\r\n\r\nuser=%C3%BC%26',
    )
    expect(render(new URL('http://a'), { method: 'GET', path: '/x' })).toBe('GET /x HTTP/1.1\r\nhost: a\r\n\r\n')
  })

  test('a client secret is form-encoded before it is joined with the id', () => {
    expect(authorization({ id: 'a b', secret: 'x:y' })).toEqual({ authorization: `Basic ${btoa('a+b:x%3Ay')}` })
    expect(authorization({ id: 'a' })).toEqual({})
  })

  test('a member of the answer counts only in a success', () => {
    expect(member(answer(200, '{"a": "1","b" : "2"}'), 'b')).toBe('2')
    expect(member(answer(400, '{"a":"1"}'), 'a')).toBeUndefined()
    expect(member(answer(200, '{"a":1}'), 'a')).toBeUndefined()
  })
})

describe('sessions under load', () => {
  test('what the answer gives takes the place of what was presented', () => {
    const source = sourceOf('refresh', peerOf('--claviger http://c'), [], ['one'])
    const item = source?.()
    expect(item?.request).toContain('{"refresh_token":"one"}')
    expect(source?.()).toBeUndefined()
    expect(item?.judge(answer(200, '{"refresh_token":"two"}'))).toEqual({ fault: undefined })
    expect(source?.()?.request).toContain('"two"')
  })

  test('a session that was refused is out; after a failure of the server it is tried again', () => {
    const source = sourceOf('refresh', peerOf('--claviger http://c'), [], ['one'])
    expect(source?.()?.judge(answer(503))).toEqual({ fault: '503' })
    expect(source?.()?.judge(undefined)).toEqual({ fault: 'no answer' })
    expect(source?.()?.judge(answer(401))).toEqual({ fault: '401' })
    expect(source?.()).toBeUndefined()
  })

  test('a cookie that the server does not replace stays', () => {
    const keratin = peerOf('--keratin http://k')
    expect(keratin.credentialIn(answer(201, '{"id_token":"x"}', 'Set-Cookie: authn=1; Path=/'), 'authn=0')).toBe(
      'authn=1',
    )
    expect(keratin.credentialIn(answer(201, '{"id_token":"x"}'), 'authn=0')).toBe('authn=0')
    expect(keratin.credentialIn(answer(401, '{"id_token":"x"}'), 'authn=0')).toBeUndefined()
  })

  test('what a server cannot do has no source', () => {
    const claviger = peerOf('--claviger http://c')
    expect(sourceOf('client-credentials', claviger, [], [])).toBeUndefined()
    expect(sourceOf('refresh', claviger, [], [])).toBeUndefined()
    expect(sourceOf('sign-in', claviger, [], ['one'])).toBeUndefined()
  })
})

describe('results', () => {
  const turn = (done: number, seconds: number, server: number | undefined, postgres: number, faults = {}) => ({
    outcome: { done, faults, seconds, p50: done, p95: 0, p99: 2 * done, p999: 0 },
    server,
    stores: new Map([['postgres', postgres]]),
  })

  test('turns are added up before they are divided: a short turn counts for less', () => {
    const combined = combine([turn(100, 1, 300, 50, { '503': 1 }), turn(300, 3, 500, 150, { '503': 2 })])
    expect(combined).toEqual({
      done: 400,
      perSecond: 100,
      p50: 200,
      p99: 400,
      server: 2,
      stores: new Map([['postgres', 0.5]]),
      faults: { '503': 3 },
    })
    expect(costOf(combined)).toBe(2.5)
  })

  test('without the process of the server there is no cost, rather than that of the stores alone', () => {
    const combined = combine([turn(100, 1, undefined, 50)])
    expect(combined).not.toHaveProperty('server')
    expect(costOf(combined)).toBeUndefined()
  })

  test('every server is compared with the first of its row', () => {
    const line = (row: PeerLine['row'], name: string, server: number): PeerLine => ({
      ...combine([turn(100, 1, server, 0)]),
      row,
      name,
    })
    const rows = formatPeers([
      line('refresh', 'a', 100),
      line('refresh', 'b', 250),
      line('sign-in', 'a', 1000),
      line('sign-in', 'b', 500),
    ])
    const ratios = rows.split('\n').map((text) => /([\d.]+) ×/.exec(text)?.[1])
    expect(ratios).toEqual([undefined, undefined, '1.00', '2.50', '1.00', '0.50'])
  })
})
