import { describe, expect, test } from 'vitest'
import { isMet, type Line } from '../../bench/line.ts'
import { readReport } from '../../bench/options.ts'
import { formatTable } from '../../bench/table.ts'

const line = (more: Partial<Line>): Line => ({ what: 'w', figure: 1, ...more })

describe('whether a target is met', () => {
  test.each([
    ['at the upper limit', { figure: 2, target: { atMost: 2 } }, true],
    ['above it', { figure: 2.001, target: { atMost: 2 } }, false],
    ['at the lower limit', { figure: 0.9, target: { atLeast: 0.9 } }, true],
    ['below it', { figure: 0.899, target: { atLeast: 0.9 } }, false],
    ['nothing was measured, upper limit', { figure: Number.NaN, target: { atMost: 2 } }, false],
    ['nothing was measured, lower limit', { figure: Number.NaN, target: { atLeast: 2 } }, false],
    ['a good figure from wrong answers', { figure: 1, target: { atMost: 2 }, faults: { '503': 1 } }, false],
    ['no faults, stated', { figure: 1, target: { atMost: 2 }, faults: {} }, true],
    ['no target', { figure: 1 }, undefined],
    ['no target, faults', { figure: 1, faults: { '503': 1 } }, undefined],
  ] as [string, Partial<Line>, boolean | undefined][])('%s', (_what, more, met) => {
    expect(isMet(line(more))).toBe(met)
  })
})

/** Cells of a line by the heads of the columns. */
function cells(text: string, row: number): Record<string, string> {
  const lines = text.split('\n')
  const widths = (lines[1] ?? '').split('  ').map((rule) => rule.length)
  const cut = (source: string): string[] => {
    let at = 0
    return widths.map((width) => {
      const cell = source.slice(at, at + width).trim()
      at += width + 2
      return cell
    })
  }
  const heads = cut(lines[0] ?? '')
  const found = cut(lines[2 + row] ?? '')
  return Object.fromEntries(heads.map((head, column) => [head || 'verdict', found[column] ?? '']))
}

describe('the table', () => {
  test('shows figure, target and verdict of a line under their heads', () => {
    const text = formatTable([
      line({ what: 'short' }),
      line({
        what: 'a longer name',
        perSecond: 1269.4,
        p50: 4.06,
        p99: 48.74,
        p999: 72.8,
        node: 1.1484,
        postgres: 0.0886,
        figure: 1.756,
        unit: '×',
        target: { atMost: 2 },
        against: 'one signature',
      }),
    ])
    expect(cells(text, 1)).toEqual({
      row: 'a longer name',
      'per s': '1269',
      p50: '4.1',
      p99: '48.7',
      'p99.9': '72.8',
      Node: '1.148',
      PG: '0.089',
      figure: '1.76 ×',
      target: '≤ 2×',
      verdict: 'met',
      against: 'one signature',
    })
    expect(cells(text, 0)).toMatchObject({
      row: 'short',
      'per s': '',
      p50: '',
      figure: '1.00',
      target: '',
      verdict: '',
    })
  })

  test('says which answers were wrong', () => {
    const text = formatTable([line({ target: { atLeast: 0 }, faults: { '503': 2, 'no answer': 1 } })])
    expect(cells(text, 0).verdict).toBe('NOT MET, faults: 2 × 503, 1 × no answer')
  })

  test('shows few requests per second, bytes and shares with the digits that they have', () => {
    const text = formatTable([
      line({ perSecond: 32.04 }),
      line({ figure: 298.6, unit: 'B' }),
      line({ figure: 99.952, unit: '%' }),
      line({ figure: Number.NaN }),
    ])
    expect(cells(text, 0)['per s']).toBe('32.0')
    expect([1, 2, 3].map((row) => cells(text, row).figure)).toEqual(['299 B', '100.0 %', 'none'])
  })
})

test('--compare shows the earlier figure beside the same measurement, and nothing beside another', () => {
  const report = {
    machine: {},
    at: '',
    lines: [line({ what: 'same', figure: 324.4, unit: 'B' }), line({ what: 'gone' })],
  }
  const earlier = readReport(JSON.stringify(report))
  const text = formatTable([line({ what: 'same', figure: 280, unit: 'B' }), line({ what: 'new', figure: 2 })], earlier)
  expect(cells(text, 0).figure).toBe('280 B (was 324)')
  expect(cells(text, 1).figure).toBe('2.00')
  expect(text).not.toContain('gone')
})
