import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { createTestCli } from './support.ts'

interface Keys {
  keys: { kid: string; state: string; imported: boolean; compromised: boolean; due_at: string | null }[]
}

function newPem(modulusLength = 2048): string {
  return generateKeyPairSync('rsa', { modulusLength }).privateKey.export({ format: 'pem', type: 'pkcs8' })
}

test('a rotation with notice, then one without', async () => {
  await using cli = await createTestCli()
  const states = async () => (await cli.json<Keys>(['keys', 'list'])).keys.map(({ state }) => state)
  expect((await cli.run(['keys', 'list'])).out).toContain('No keys')
  const first = await cli.json(['keys', 'rotate'])
  expect(first).toEqual({ outcome: 'activated', active: expect.any(String) })
  const second = await cli.json(['keys', 'rotate'])
  expect(second).toEqual({ outcome: 'scheduled', next: expect.any(String), activates_at: expect.any(String) })
  expect(await cli.json(['keys', 'rotate'])).toMatchObject({ outcome: 'already_scheduled', next: second.next })
  expect(await states()).toEqual(['next', 'active'])

  const { code, out } = await cli.run(['keys', 'rotate', '--compromised', '--yes'])
  expect(code).toBe(0)
  expect(out).toContain(`Withdrew  ${String(first.active)}\nSigns now ${String(second.next)}\n`)
  expect(out).toContain('What a stolen key can still do')
  expect(out).toMatch(/other verifiers +accept it for up to 20 min/)
  const { keys } = await cli.json<Keys>(['keys', 'list'])
  expect(keys).toMatchObject([
    { kid: second.next, state: 'active' },
    { kid: first.active, state: 'removed', compromised: true, due_at: null },
  ])
})

test('a list says what comes of each key, in a terminal of eighty columns too', async () => {
  await using cli = await createTestCli()
  await cli.run(['keys', 'import', '-'], { stdin: newPem() })
  await cli.run(['keys', 'rotate'])
  const lines = async (columns?: number) => {
    const { out } = await cli.run(['keys', 'list'], columns === undefined ? {} : { columns })
    return stripVTControlCharacters(out).trimEnd().split('\n')
  }
  const comes = [
    expect.stringMatching(/^ {2}signs from \S+ \(in 24 h\)$/),
    expect.stringMatching(/^ {2}another one signs from \S+ \(in 24 h\); imported$/),
  ]
  const [heading, next, nextComes, active, activeComes, ...others] = await lines(80)
  expect([nextComes, activeComes, others]).toEqual([...comes, []])
  const [wideHeading, ...rows] = await lines()
  expect(wideHeading).toBe(`${heading}               WHAT COMES`)
  expect(rows).toEqual([`${next}${nextComes}`, `${active}${activeComes}`])
})

test('an emergency is confirmed by a person, or by --yes', async () => {
  await using cli = await createTestCli()
  const { active } = await cli.json(['keys', 'rotate'])
  const rotate = ['keys', 'rotate', '--compromised']
  expect(await cli.run(rotate)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('confirm with --yes') })
  expect(await cli.run(rotate, { stdin: 'y\n' })).toMatchObject({ code: 2 })
  expect(await cli.run(rotate, { typed: ['\r'] })).toMatchObject({
    code: 1,
    err: expect.stringContaining('nothing was changed'),
  })
  expect((await cli.json<Keys>(['keys', 'list'])).keys).toMatchObject([{ kid: active, state: 'active' }])
  expect(await cli.run(rotate, { typed: ['y\r'] })).toMatchObject({ code: 0 })
  expect((await cli.json<Keys>(['keys', 'list'])).keys.at(-1)).toMatchObject({ kid: active, state: 'removed' })
})

test('a key is imported from a file or from standard input, once', async () => {
  await using cli = await createTestCli()
  const folder = await mkdtemp(join(tmpdir(), 'claviger-keys-'))
  try {
    const file = join(folder, 'key.pem')
    const pem = newPem()
    await writeFile(file, pem)
    const imported = await cli.json(['keys', 'import', file])
    expect(imported).toEqual({
      kid: expect.stringMatching(/^[\w-]{43}$/),
      state: 'active',
      activates_at: expect.any(String),
    })
    expect(await cli.run(['keys', 'import', '-'], { stdin: pem })).toMatchObject({
      code: 1,
      err: expect.stringContaining('never taken in twice'),
    })
    expect((await cli.run(['keys', 'import', '-'], { stdin: newPem() })).out).toMatch(
      /^Imported \S+\. It signs from .* \(in 24 h\) on\.\n$/,
    )
    expect(await cli.run(['keys', 'import', join(folder, 'none.pem')])).toMatchObject({
      code: 3,
      err: expect.stringContaining('ENOENT'),
    })
    const refused = await cli.run(['keys', 'import', '-'], { stdin: newPem(1024) })
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('at least 2048 are needed') })
    expect(refused.err).not.toContain('PRIVATE')
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('with another CLAVIGER_SECRET nothing is changed', async () => {
  await using cli = await createTestCli()
  await cli.run(['keys', 'rotate'])
  const CLAVIGER_SECRET = randomBytes(32).toString('base64')
  const { code, err } = await cli.run(['keys', 'rotate'], { env: { CLAVIGER_SECRET } })
  expect(code).toBe(1)
  expect(err).toContain('CLAVIGER_SECRET does not open the signing key')
  expect(await cli.run(['doctor'], { env: { CLAVIGER_SECRET } })).toMatchObject({
    code: 1,
    out: expect.stringContaining('✗ signing keys'),
  })
})
