import type { Judgement } from './judge.ts'
import type { Program } from './program.ts'

/** What happened to one program: it is absent, or it failed, or it has judged. */
export interface Line {
  program: Program
  versions?: string
  absent?: string
  failure?: string
  live?: Judgement
  vectors?: Judgement
}

/** The report of a run, in Markdown, with the counts in its last line. */
export function formatTable(lines: Line[]): { text: string; failed: number } {
  const rows = [
    ['', 'versions', 'live token', 'good vectors', 'bad vectors refused', 'left open, as ours', 'exceptions'],
    ...lines.map(({ program, versions, absent, live, vectors }) => [
      program.title,
      versions ?? (absent === undefined ? 'failed' : `absent: ${absent}`),
      live === undefined ? '' : live.accepted.right === live.accepted.of ? 'accepted' : 'refused',
      vectors ? `${vectors.accepted.right} of ${vectors.accepted.of}` : '',
      vectors ? `${vectors.refused.right} of ${vectors.refused.of}` : '',
      vectors ? `${vectors.optional.right} of ${vectors.optional.of}` : '',
      vectors?.exceptions.join(', ') ?? '',
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const [head = '', ...body] = rows.map(
    (row) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`,
  )
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`

  const reports = lines.flatMap((line) => {
    const found = surprisesOf(line)
    return found.length === 0 ? [] : [`\n${line.program.title}:`, ...found.map((each) => `  ${each}`)]
  })
  const failed = lines.filter((line) => surprisesOf(line).length > 0).length
  const skipped = lines.filter(({ absent }) => absent !== undefined).length
  const counts = `${lines.length - failed - skipped} passed, ${failed} failed, ${skipped} skipped`
  return { text: [head, rule, ...body, ...reports, '', counts].join('\n'), failed }
}

const surprisesOf = ({ failure, live, vectors }: Line): string[] => [
  ...(failure === undefined ? [] : [failure]),
  ...(live?.surprises ?? []),
  ...(vectors?.surprises ?? []),
]
