import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert, integer, property } from 'fast-check'
import { expect, test } from 'vitest'
import { contrast, inkOn, lightened, SURFACES } from '../../src/config/colors.ts'
import { settings } from '../../src/config/config.ts'

const colors = integer({ min: 0, max: 0xffffff }).map((value) => `#${value.toString(16).padStart(6, '0')}`)

test.each([
  ['#000000', '#ffffff', 21],
  ['#ffffff', '#ffffff', 1],
  ['#777777', '#ffffff', 4.48],
  ['#767676', '#ffffff', 4.54],
])('the contrast of %s and %s is %d, as WCAG computes it', (one, other, ratio) => {
  expect(contrast(one, other)).toBeCloseTo(ratio, 2)
  expect(contrast(other, one)).toBeCloseTo(ratio, 2)
})

test('whatever the colour, what is written on it can be read, and so can its counterpart for the dark', () => {
  assert(
    property(colors, (color) => {
      expect(contrast(inkOn(color), color)).toBeGreaterThanOrEqual(4.5)
      expect(contrast(lightened(color), SURFACES.dark)).toBeGreaterThanOrEqual(4.5)
      expect(contrast(inkOn(lightened(color)), lightened(color))).toBeGreaterThanOrEqual(4.5)
    }),
    { numRuns: 300 },
  )
})

test.each([
  ['BRAND_COLOR', '#B3261E', '#b3261e'],
  ['BRAND_COLOR', '#f5c518', /contrast of 1\.6 with the light background/],
  ['BRAND_COLOR', 'red', /must be a colour/],
  ['BRAND_COLOR', '#fff;}body{display:none', /must be a colour/],
  ['BRAND_COLOR_DARK', '#f5c518', '#f5c518'],
  ['BRAND_COLOR_DARK', '#1a2b8c', /with the dark background/],
  ['BRAND_NAME', 'Ada & Sons', 'Ada & Sons'],
  ['BRAND_NAME', 'x'.repeat(61), /1 to 60 characters/],
  ['BRAND_NAME', 'a\u202eb', /control characters/],
  ['BRAND_LOGO', '/nowhere/logo.svg', /cannot be read \(ENOENT\)/],
  ['BRAND_LOGO', '/etc/passwd', /\.svg, \.png or \.webp/],
] as const)('%s %j', (name, value, expected) => {
  if (typeof expected === 'string') expect(settings[name].parse(value)).toBe(expected)
  else expect(() => settings[name].parse(value)).toThrow(expected)
})

test('a logo that is empty, or too large for every page, is a fault', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'logo-'))
  try {
    for (const [bytes, fault] of [
      [0, 'of 0 bytes'],
      [65537, 'of 65537 bytes'],
      [65536, undefined],
    ] as const) {
      const path = join(folder, `${bytes}.png`)
      writeFileSync(path, Buffer.alloc(bytes))
      if (fault) expect(() => settings.BRAND_LOGO.parse(path)).toThrow(fault)
      else expect(settings.BRAND_LOGO.parse(path)).toBe(path)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})
