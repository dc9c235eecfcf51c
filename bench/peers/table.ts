import type { Measured } from './measure.ts'
import type { RowName } from './options.ts'

export interface PeerLine extends Measured {
  row: RowName
  name: string
}

/** CPU milliseconds per request, the server and its stores together; absent if the server's process was not named. */
export const costOf = ({ server, stores }: Measured): number | undefined =>
  server === undefined ? undefined : [...stores.values()].reduce((sum, each) => sum + each, server)

/** For a terminal; as Markdown, so that it can be published as it is. The first server of each row is the measure. */
export function formatPeers(lines: PeerLine[]): string {
  const stores = [...new Set(lines.flatMap((line) => [...line.stores.keys()]))]
  const heads = [
    'row',
    'server',
    'per s',
    'p50 ms',
    'p99 ms',
    'CPU-ms server',
    ...stores.map((name) => `CPU-ms ${name}`),
  ]
  const rows = lines.map((line) => {
    const first = lines.find(({ row }) => row === line.row)
    const [cost, measure] = [costOf(line), first && costOf(first)]
    const faults = Object.entries(line.faults).map(([what, count]) => `${count} × ${what}`)
    return [
      line.row,
      line.name,
      line.perSecond.toFixed(line.perSecond < 100 ? 1 : 0),
      line.p50.toFixed(1),
      line.p99.toFixed(1),
      figure(line.server),
      ...stores.map((name) => figure(line.stores.get(name))),
      figure(cost),
      cost === undefined || measure === undefined ? '' : `${(cost / measure).toFixed(2)} ×`,
      faults.join(', ') || 'none',
    ]
  })
  const all = [...heads, 'CPU-ms in all', 'to the first', 'faults']
  const widths = all.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const isText = (column: number): boolean => column < 2 || column === all.length - 1
  const format = (row: string[]): string =>
    `| ${row.map((cell, n) => (isText(n) ? cell.padEnd(widths[n] ?? 0) : cell.padStart(widths[n] ?? 0))).join(' | ')} |`
  const rule = `|${widths.map((width, n) => (isText(n) ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [format(all), rule, ...rows.map(format)].join('\n')
}

const figure = (value: number | undefined): string => (value === undefined ? '' : value.toFixed(value < 10 ? 3 : 1))
