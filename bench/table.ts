import { isMet, type Line } from './line.ts'

const number = (value: number | undefined, digits: number): string =>
  value === undefined ? '' : Number.isNaN(value) ? 'none' : value.toFixed(digits)

const digitsOf = ({ unit }: Line): number => (unit === 'B' || unit === 'MiB' ? 0 : unit === '%' ? 1 : 2)

function targetOf({ target, unit = '' }: Line): string {
  if (!target) return ''
  return 'atMost' in target ? `≤ ${target.atMost}${unit}` : `≥ ${target.atLeast}${unit}`
}

function verdictOf(line: Line): string {
  const met = isMet(line)
  const faults = Object.entries(line.faults ?? {}).map(([what, count]) => `${count} × ${what}`)
  return [met === undefined ? '' : met ? 'met' : 'NOT MET', faults.length > 0 ? `faults: ${faults.join(', ')}` : '']
    .filter(Boolean)
    .join(', ')
}

const heads = ['row', 'per s', 'p50', 'p99', 'p99.9', 'Node', 'PG', 'figure', 'target', '', 'against']

/** The whole report for a terminal; every line in one table. */
export function formatTable(lines: Line[], earlier?: Map<string, Line>): string {
  const rows = lines.map((line) => {
    const before = earlier?.get(line.what)
    const change = before ? ` (was ${number(before.figure, digitsOf(line))})` : ''
    return [
      line.what,
      number(line.perSecond, line.perSecond !== undefined && line.perSecond < 100 ? 1 : 0),
      number(line.p50, 1),
      number(line.p99, 1),
      number(line.p999, 1),
      number(line.node, 3),
      number(line.postgres, 3),
      `${number(line.figure, digitsOf(line))}${line.unit ? ` ${line.unit}` : ''}${change}`,
      targetOf(line),
      verdictOf(line),
      line.against ?? '',
    ]
  })
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const leftAligned = (column: number): boolean => column === 0 || column > 8
  const format = (row: string[]): string =>
    row
      .map((cell, column) =>
        leftAligned(column) ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [format(heads), format(widths.map((width) => '─'.repeat(width))), ...rows.map(format)].join('\n')
}
