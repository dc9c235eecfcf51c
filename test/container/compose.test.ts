import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { settings } from '../../src/config.ts'

// What needs Docker is in smoke.sh.
const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
const compose = await read('docker-compose.yml')

/** The compose file, or the image, decides about these. */
const decided = new Set(['NODE_ENV', 'HOST', 'PORT', 'METRICS_HOST', 'METRICS_PORT', 'ISSUER'])

test.each(Object.entries(settings))('%s reaches the container, unless it is secret', (name, { secret }) => {
  if (secret) {
    // Shells, `docker inspect` and child processes show what is in the environment.
    expect(compose).toContain(`${name}_FILE: /var/lib/claviger/server/`)
    expect(compose).not.toMatch(new RegExp(`^ +${name}:`, 'm'))
  } else if (!decided.has(name)) {
    expect(compose).toContain(`    ${name}: \${${name}:-}\n`)
  }
})

test('nothing is published but the server, on loopback', () => {
  const published = [...compose.matchAll(/^ +ports: (.*)$/gm)].map(([, ports]) => ports)
  expect(published).toEqual([`['127.0.0.1:\${CLAVIGER_PORT:-3000}:3000']`])
})

test('every service is confined', () => {
  const services = compose.slice(compose.indexOf('\nservices:\n'), compose.indexOf('\nnetworks:\n'))
  const blocks = services.split(/^ {2}(?=[a-z]+:$)/m).slice(1)
  expect(blocks.map((block) => block.split(':')[0])).toEqual(['claviger', 'replica', 'postgres', 'secrets'])
  for (const block of blocks) expect(block).toMatch(/^ {4}<<: \*(server|confined)$/m)
})

test('the builder is given only what the image is made of', async () => {
  const lines = (await read('.dockerignore')).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(lines[0]).toBe('*')
  expect(lines.slice(1).every((line) => line.startsWith('!'))).toBe(true)
  expect(lines.filter((line) => /git|env|claviger|node_modules|\*\*/.test(line))).toEqual([])
})
