import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { EXIT } from '../../src/cli/exit.ts'
import { settings } from '../../src/config/config.ts'
import { files, read } from '../support/pages.ts'
import { findTool, judge } from './tools.ts'

const FOLDER = 'deploy/systemd'
const NAMES = ['claviger.service', 'claviger-migrate.service']
/** What is under way when the process is told to stop may take so long (src/http/server/listeners.ts). */
const CUT_OFF_SECONDS = 25
/** 100 is a service with every right; systemd calls what is below 20 "OK". */
const MOST_EXPOSED = 20

const [server = '', migrate = ''] = NAMES.map((name) => read(`${FOLDER}/${name}`))
/** Every value of a key, in order. */
const valuesOf = (unit: string, key: string): string[] =>
  [...unit.matchAll(RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)

const analyze = findTool('systemd-analyze')

describe.skipIf(!analyze)('systemd', () => {
  /** The units with a program that this machine has: whether /usr/bin/node is there is not the question. */
  async function withCopies<T>(work: (paths: string[]) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), 'claviger-systemd-'))
    try {
      const paths = NAMES.map((name) => join(folder, name))
      for (const [index, unit] of [server, migrate].entries())
        await writeFile(paths[index] as string, unit.replace('/usr/bin/node', process.execPath))
      return await work(paths)
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  test('has nothing to say against the units', async () => {
    // An unknown key is no failure to it, but it says so.
    expect(await withCopies((paths) => judge(analyze as string, ['verify', ...paths]))).toEqual({ code: 0, said: '' })
  })

  test.each([0, 1])('finds unit %i confined', async (index) => {
    const options = ['security', '--no-pager', '--offline=true', `--threshold=${MOST_EXPOSED}`]
    const { code, said } = await withCopies((paths) => judge(analyze as string, [...options, paths[index] as string]))
    expect(said).toContain('Overall exposure level')
    expect(code).toBe(0)
  })
})

test.each([
  ['the server', server, 'serving-url', 'owner-url'],
  ['the migration', migrate, 'owner-url', 'serving-url'],
])('%s has the secrets that it needs and no others', (_name, unit, own, other) => {
  const credentials = valuesOf(unit, 'LoadCredential')
  expect(credentials).toEqual(['claviger-secret', own].map((name) => `${name}:/etc/claviger/${name}`))
  const variables = valuesOf(unit, 'Environment').flatMap((line) => line.split(' '))
  expect(variables).toContain('CLAVIGER_SECRET_FILE=%d/claviger-secret')
  expect(variables).toContain(`DATABASE_URL_FILE=%d/${own}`)
  expect(unit.replaceAll(/^#.*$/gm, '')).not.toContain(other)
})

test('all settings are known, also those that the head names', () => {
  const known = Object.entries(settings).flatMap(([name, { secret }]) => (secret ? [`${name}_FILE`] : [name]))
  const set = [server, migrate].flatMap((unit) => valuesOf(unit, 'Environment')).flatMap((line) => line.split(' '))
  const named = [...server.matchAll(/claviger\.env \(([A-Z_, ]+);/g)].flatMap(([, names = '']) => names.split(', '))
  expect(named).toContain('ISSUER')
  const names = [...set.map((each) => each.split('=')[0] ?? ''), ...named]
  expect(names.filter((name) => !known.includes(name))).toEqual(['MALLOC_ARENA_MAX', 'MALLOC_ARENA_MAX'])
})

test('the program is there, and runs as it does in the image', () => {
  const [serve] = valuesOf(server, 'ExecStart')
  const [, options, path, command] = /^\/usr\/bin\/node (--\S+) \/opt\/claviger\/(\S+) (.*)$/.exec(serve ?? '') ?? []
  expect(files).toContain(path)
  expect(read('docker/claviger')).toContain(`exec node ${options} /app/${path}`)
  expect(command).toBe('serve')
  expect(valuesOf(migrate, 'ExecStart')).toEqual([
    `/usr/bin/node /opt/claviger/${path} migrate --grant-to claviger_serve`,
  ])
})

test('both are confined in the same way', () => {
  const confinement = (unit: string) => unit.slice(unit.indexOf('NoNewPrivileges')).split('\n[Install]')[0]?.trim()
  expect(confinement(migrate)).toBe(confinement(server))
})

test('a stop has the time that it takes, and a wrong setting starts nothing again', () => {
  const delay = Number(/SHUTDOWN_DELAY_SECONDS \((\d+)\)/.exec(server)?.[1])
  expect(delay).toBe(2)
  expect(Number(valuesOf(server, 'TimeoutStopSec')[0])).toBeGreaterThan(delay + CUT_OFF_SECONDS)
  for (const unit of [server, migrate])
    expect(valuesOf(unit, 'RestartPreventExitStatus')).toEqual([String(EXIT.config)])
})
