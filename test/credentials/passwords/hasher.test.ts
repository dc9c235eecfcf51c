import argon2 from 'argon2'
import { afterEach, describe, expect, type MockInstance, test, vi } from 'vitest'
import { createPasswordHasher } from '../../../src/credentials/passwords/hasher.ts'

const floor = { memoryKib: 19456, passes: 2, concurrency: 2, queue: 8 }
const cheap = { memoryKib: 64, passes: 2, concurrency: 2, queue: 8 }

afterEach(() => void vi.restoreAllMocks())

describe('hash', () => {
  test('is a PHC string of argon2id with a salt of 16 and a tag of 32 bytes, never the same twice', async () => {
    const hasher = createPasswordHasher(floor)
    const [one, two] = await Promise.all([hasher.hash('correct horse'), hasher.hash('correct horse')])
    expect(one).not.toBe(two)
    for (const phc of [one, two]) {
      expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
      expect(await hasher.verify(phc, 'correct horse')).toBe(true)
      expect(await hasher.verify(phc, 'correct horsf')).toBe(false)
    }
  })

  test('counts every character of a long password, trims nothing, folds no case', async () => {
    const hasher = createPasswordHasher(cheap)
    const long = `${'ab'.repeat(127)}cd`
    const phc = await hasher.hash(long)
    expect(await hasher.verify(phc, long)).toBe(true)
    for (const other of [`${long.slice(0, -1)}e`, long.slice(0, -1), `${long} `, ` ${long}`, long.toUpperCase()]) {
      expect(await hasher.verify(phc, other)).toBe(false)
    }
  })

  test('takes canonically equivalent spellings for one, and no others', async () => {
    const hasher = createPasswordHasher(cheap)
    const composed = await hasher.hash('caf\u00e9 au lait')
    expect(await hasher.verify(composed, 'cafe\u0301 au lait')).toBe(true)
    const decomposed = await hasher.hash('cafe\u0301 au lait')
    expect(await hasher.verify(decomposed, 'caf\u00e9 au lait')).toBe(true)
    const ligature = await hasher.hash('o\ufb03ce hours')
    expect(await hasher.verify(ligature, 'office hours')).toBe(false)
  })

  test('a lone surrogate is not the replacement character', async () => {
    const hasher = createPasswordHasher(cheap)
    const phc = await hasher.hash('a\ufffdb')
    expect(await hasher.verify(phc, 'a\ud800b')).toBe(false)
    expect(await hasher.verify(phc, 'a\ufffdb')).toBe(true)
  })
})

describe('verify', () => {
  const malformed = [
    '',
    'correct horse',
    '$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy',
    '$argon2id$',
    '$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2E',
    '$argon2id$v=16$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2i$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=0,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=2,p=0$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=2,p=99$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=999,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,m=64,t=2$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzY$AAAAAAAAAAAAAAAAA',
    '$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n',
  ]

  test.each(malformed)('a malformed hash is no, never an error: %j', async (stored) => {
    const hasher = createPasswordHasher(cheap)
    const computed = vi.spyOn(argon2, 'hash')
    expect(await hasher.verify(stored, 'correct horse')).toBe(false)
    expect(computed).toHaveBeenCalledTimes(1)
  })

  const costs = (spy: MockInstance<typeof argon2.hash>) =>
    spy.mock.calls.map(([, options]) => [options?.memoryCost, options?.timeCost])

  test('no account, no password and a malformed hash cost one computation with the current parameters', async () => {
    const hasher = createPasswordHasher(floor)
    const phc = await hasher.hash('right')
    const computed = vi.spyOn(argon2, 'hash')
    for (const stored of [null, 'nonsense', phc]) expect(await hasher.verify(stored, 'wrong')).toBe(false)
    expect(costs(computed)).toEqual([
      [19456, 2],
      [19456, 2],
      [19456, 2],
    ])
  })

  describe('with stored hashes of several kinds', () => {
    const hashers = {
      weaker: createPasswordHasher({ ...cheap, memoryKib: 1024, passes: 1 }),
      present: createPasswordHasher({ ...cheap, memoryKib: 4096, passes: 2 }),
      stronger: createPasswordHasher({ ...cheap, memoryKib: 2048, passes: 5 }),
    }
    const inUse = ['m=1024,t=1,p=1', 'm=4096,t=2,p=1', 'm=2048,t=5,p=1', 'p=1,t=2,m=4096', 'nonsense']
    const every = [
      [4096, 2],
      [2048, 5],
      [1024, 1],
    ]
    const refuse = async (stored: string | null, password: string, welcome: boolean) => {
      const computed = vi.spyOn(argon2, 'hash')
      const matches = await hashers.present.verify(stored, password, { inUse, welcome })
      const found = costs(computed)
      computed.mockRestore()
      return { matches, found }
    }

    test.each(['weaker', 'present', 'stronger'] as const)(
      'a refusal does the work of each once and in one order, also for the right password of a %s hash that is not welcome',
      async (kind) => {
        const stored = await hashers[kind].hash('right')
        expect(await refuse(stored, 'wrong', true)).toMatchObject({ matches: false, found: every })
        expect(await refuse(stored, 'right', false)).toMatchObject({ matches: true, found: every })
        expect(await refuse(stored, 'wrong', false)).toMatchObject({ matches: false, found: every })
      },
    )

    test.each([null, 'nonsense'])('so does one without a hash (%j)', async (stored) => {
      for (const welcome of [true, false]) {
        expect(await refuse(stored, 'right', welcome)).toMatchObject({ matches: false, found: every })
      }
    })

    test('the right password that is welcome costs its own hash and those before it', async () => {
      const right = async (kind: keyof typeof hashers) => await refuse(await hashers[kind].hash('right'), 'right', true)
      expect(await right('present')).toMatchObject({ matches: true, found: every.slice(0, 1) })
      expect(await right('stronger')).toMatchObject({ matches: true, found: every.slice(0, 2) })
      expect(await right('weaker')).toMatchObject({ matches: true, found: every })
    })

    test('what costs far more than today’s is computed for its own account alone', async () => {
      const own = await createPasswordHasher({ ...cheap, memoryKib: 16384, passes: 3 }).hash('right')
      const all = { inUse: ['m=16384,t=3,p=1', 'm=1048576,t=64,p=1', 'm=4096,t=2,p=1'], welcome: true }
      const computed = vi.spyOn(argon2, 'hash')
      for (const [stored, found] of [
        [null, [[4096, 2]]],
        [own, [[16384, 3]]],
      ] as const) {
        computed.mockClear()
        expect(await hashers.present.verify(stored, 'wrong', all)).toBe(false)
        expect(costs(computed)).toEqual(found)
      }
    })

    test('others than today’s cost four times as much together, the dearest first', async () => {
      const inUse = ['m=4096,t=2,p=1', 'm=4096,t=3,p=1', 'm=4096,t=4,p=1', 'm=4096,t=5,p=1']
      const computed = vi.spyOn(argon2, 'hash')
      await hashers.present.verify(null, 'wrong', { inUse, welcome: true })
      expect(costs(computed)).toEqual([
        [4096, 2],
        [4096, 5],
        [4096, 3],
      ])
      computed.mockRestore()
    })

    test('of many kinds the four dearest count, and any other hash takes the place of the one most like it', async () => {
      const many = [512, 1024, 1536, 2048, 4096, 8192].map((memoryKib) => `m=${memoryKib},t=1,p=1`)
      const stored = await createPasswordHasher({ ...cheap, memoryKib: 512, passes: 1 }).hash('right')
      for (const hash of [stored, null]) {
        const computed = vi.spyOn(argon2, 'hash')
        await hashers.present.verify(hash, 'wrong', { inUse: many, welcome: true })
        expect(costs(computed)).toEqual([
          [8192, 1],
          [4096, 1],
          [2048, 1],
          [hash ? 512 : 1536, 1],
        ])
        computed.mockRestore()
      }
    })
  })

  test('reads what argon2 libraries write, whatever the order of the parameters', async () => {
    const hasher = createPasswordHasher(cheap)
    const theirs = await argon2.hash('correct horse', { memoryCost: 128, timeCost: 3, parallelism: 2 })
    expect(theirs).toContain('$m=128,p=2,t=3$')
    expect(await hasher.verify(theirs, 'correct horse')).toBe(true)
    expect(await hasher.verify(theirs, 'correct mule')).toBe(false)
    expect(await argon2.verify(await hasher.hash('correct horse'), 'correct horse')).toBe(true)
  })
})

describe('needsRehash', () => {
  const phc = (memoryKib: number, passes: number, salt = 22, tag = 43) =>
    `$argon2id$v=19$m=${memoryKib},t=${passes},p=1$${'A'.repeat(salt)}$${'A'.repeat(tag)}`
  test.each([
    ['the same', phc(19456, 2), false],
    ['less memory', phc(12288, 2), true],
    ['fewer passes', phc(19456, 1), true],
    ['a short salt', phc(19456, 2, 11), true],
    ['a short tag', phc(19456, 2, 22, 22), true],
    ['more memory', phc(65536, 2), false],
    ['more passes', phc(19456, 4), false],
    ['much more memory, one pass', phc(47104, 1), false],
    ['not readable', 'nonsense', true],
  ])('%s', async (_what, stored, expected) => {
    const hasher = createPasswordHasher(floor)
    expect(hasher.needsRehash(stored, 'the right password')).toBe(expected)
  })
})

describe('limit', () => {
  test('so many at a time, so many in the queue in order, the rest turned away at once', async () => {
    const seconds: number[] = []
    const hasher = createPasswordHasher({ ...cheap, concurrency: 2, queue: 3, onDone: (s) => seconds.push(s) })
    seconds.length = 0
    let running = 0
    let most = 0
    const release: (() => void)[] = []
    vi.spyOn(argon2, 'hash').mockImplementation(async () => {
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => release.push(resolve))
      running--
      return Buffer.alloc(32) as never
    })
    const phc = `$argon2id$v=19$m=64,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
    const done: number[] = []
    const admitted = [0, 1, 2, 3, 4].map((i) => hasher.verify(phc, 'x').then(() => done.push(i)))
    const refused = expect(hasher.verify(phc, 'x')).rejects.toMatchObject({
      code: 'overloaded',
      status: 503,
      retryAfter: 1,
    })
    await refused
    expect(hasher.pending()).toBe(5)
    for (let i = 0; i < 5; i++) {
      await vi.waitFor(() => expect(release.length).toBeGreaterThan(i))
      release[i]?.()
    }
    await Promise.all(admitted)
    expect(done).toEqual([0, 1, 2, 3, 4])
    expect(most).toBe(2)
    expect(hasher.pending()).toBe(0)
    expect(seconds).toHaveLength(5)
  })

  test('a computation that fails gives its place back', async () => {
    const hasher = createPasswordHasher({ ...cheap, concurrency: 1, queue: 0 })
    vi.spyOn(argon2, 'hash').mockRejectedValueOnce(new Error('out of memory'))
    await expect(hasher.hash('correct horse')).rejects.toThrow('out of memory')
    expect(hasher.pending()).toBe(0)
    expect(await hasher.verify(await hasher.hash('correct horse'), 'correct horse')).toBe(true)
  })
})
