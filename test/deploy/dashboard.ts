import { read } from '../support/pages.ts'

interface Panel {
  title: string
  type: string
  targets?: { expr: string; legendFormat: string }[]
}

export interface Query {
  panel: string
  expr: string
  /** Labels that its legend shows, and by which it sums. */
  labels: string[]
}

const dashboard = JSON.parse(read('deploy/grafana/claviger.json')) as { panels: Panel[] }

/** Every query of the dashboard, with what Grafana puts in for its variables. */
export const queries: Query[] = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr, legendFormat }) => ({
    panel: title,
    expr: expr.replaceAll('$__rate_interval', '20s').replaceAll('$__range', '1h').replaceAll('$job', 'claviger'),
    labels: [
      ...[...expr.matchAll(/\bby \(([a-z, ]+)\)/g)].flatMap(([, names = '']) => names.split(', ')),
      ...[...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = '']) => name),
    ],
  })),
)

/** Metrics and labels of an expression, in pairs: `claviger_logins_total outcome`. */
export function usesOf({ expr, labels }: Query): { metric: string; labels: string[] }[] {
  return [...expr.matchAll(/\b(up|(?:claviger|process|nodejs)_[a-z0-9_]+)\{([^}]*)\}/g)].map(
    ([, metric = '', matchers = '']) => ({
      metric,
      labels: [...labels, ...[...matchers.matchAll(/(\w+)=/g)].map(([, name = '']) => name)],
    }),
  )
}
