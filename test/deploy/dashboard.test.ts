import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { signUpOver } from '../support/honest-client.ts'
import { startMiddleman } from '../support/middleman.ts'
import { read } from '../support/pages.ts'
import { postJson } from '../support/post-json.ts'
import { cloneDatabase, type TestDatabase } from '../support/postgres.ts'
import { type RunningProcess, startServer } from '../support/server.ts'
import { type Query, queries, usesOf } from './dashboard.ts'
import { findTool, judge } from './tools.ts'

const ALERTS = fileURLToPath(new URL('../../docs/alerts.yml', import.meta.url))
const CALLS_PER_MINUTE = 5
const grant = new URLSearchParams({ grant_type: 'client_credentials' })
/** Prometheus itself knows or adds these. */
const ADDED = { metrics: ['up'], labels: ['job', 'instance'] }

const [prometheus, promtool] = ['prometheus', 'promtool'].map(findTool)

let database: TestDatabase
let server: RunningProcess

beforeAll(async () => {
  database = await cloneDatabase()
  const mail = { SMTP_URL: 'smtp://localhost', MAIL_FROM: 'no-reply@example.com', EMAIL_VERIFICATION: 'off' }
  const env = { RATE_LIMIT_ACCOUNT_PER_MINUTE: String(CALLS_PER_MINUTE), ...mail }
  server = await startServer({ databaseUrl: database.url, env })
  await useEverything(server.url)
  await vi.waitFor(async () => expect([...(await scrape()).keys()]).toContain('claviger_verifiers'), 5000)
})

afterAll(async () => {
  await server?.kill()
  await database?.drop()
})

/** Whatever has a metric of its own that is not there before it has happened. */
async function useEverything(url: string): Promise<void> {
  const post = (path: string, body: object) => postJson(`${url}${path}`, body)
  const [session] = (await signUpOver(url, 1)).tokens
  const first = session?.token ?? ''
  const refresh = (token: string) => post('/refresh', { client_id: 'native', refresh_token: token })
  const second = ((await (await refresh(first)).json()) as { refresh_token: string }).refresh_token
  await refresh(first) // again, within the grace
  await refresh(second)
  expect((await refresh(first)).status, 'a replay').toBe(401)
  const { status } = await post('/login', { email: `${randomUUID()}@example.com`, password: 'not this one' })
  expect(status).toBe(401)
  const call = () => fetch(`${url}/me`, { headers: { authorization: `Bearer ${session?.accessToken}` } })
  for (let i = 0; i < CALLS_PER_MINUTE; i++) await call()
  expect((await call()).status).toBe(429)
  const nobody = { authorization: `Basic ${Buffer.from('nobody:nothing').toString('base64')}` }
  expect((await fetch(`${url}/oauth/token`, { method: 'POST', headers: nobody, body: grant })).status).toBe(401)
  const { port } = new URL(url)
  const greedy = connect(Number(port), '127.0.0.1').on('error', () => {})
  greedy.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(200))
  greedy.resume()
  await once(greedy, 'close')
}

/** Labels of every series of a scrape, by its metric. */
async function scrape(): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>()
  for (const line of (await (await fetch(`${server.metricsUrl}/metrics`)).text()).split('\n')) {
    const [, metric, labels = ''] = /^([a-z]\w*)(?:\{(.*)\})? /.exec(line) ?? []
    if (metric === undefined) continue
    const names = found.get(metric) ?? new Set()
    for (const [, name = ''] of labels.matchAll(/(\w+)="/g)) names.add(name)
    found.set(metric, names)
  }
  return found
}

const uses = queries.flatMap((query) => usesOf(query).map((use) => ({ panel: query.panel, ...use })))

test('what the dashboard asks for is what a server tells', async () => {
  const told = await scrape()
  expect(queries.length).toBeGreaterThan(25)
  const unknown = uses.flatMap(({ panel, metric, labels }) => {
    if (ADDED.metrics.includes(metric)) return []
    const known = told.get(metric)
    const foreign = labels.filter((label) => !ADDED.labels.includes(label) && !known?.has(label))
    return known && foreign.length === 0 ? [] : [`${panel}: ${metric} ${foreign.join(' ')}`]
  })
  expect(unknown).toEqual([])
})

test('nothing is asked for in a way that the test above does not read', () => {
  const named = queries.flatMap(({ expr }) => expr.match(/\b(up|(claviger|process|nodejs)_\w+)/g) ?? [])
  expect(uses.map(({ metric }) => metric)).toEqual(named)
  for (const { expr } of queries) expect(expr).toContain('job="claviger"')
})

test('the dashboard shows every metric of ours', async () => {
  const shown = uses.map(({ metric }) => metric.replace(/_(bucket|count|sum)$/, ''))
  const ours = [...(await scrape()).keys()].filter((metric) => metric.startsWith('claviger_'))
  const names = new Set(ours.map((metric) => metric.replace(/_(bucket|count|sum)$/, '')))
  expect(names.size).toBeGreaterThan(12)
  expect([...names].filter((name) => !shown.includes(name))).toEqual([])
})

test.skipIf(!promtool)('promtool has nothing to say against the alerts', async () => {
  const { code, said } = await judge(promtool as string, ['check', 'rules', '--lint-fatal', ALERTS])
  expect(said).toContain('SUCCESS')
  expect(code).toBe(0)
})

describe.skipIf(!prometheus)('Prometheus', () => {
  test('has an answer to every query, and evaluates every alert', { timeout: 60_000 }, async () => {
    const asked = await startMiddleman({
      program: prometheus as string,
      writes: true,
      files: () => ({
        'prometheus.yml': JSON.stringify({
          global: { scrape_interval: '500ms', evaluation_interval: '1s' },
          rule_files: [ALERTS],
          scrape_configs: [{ job_name: 'claviger', static_configs: [{ targets: [new URL(server.metricsUrl).host] }] }],
        }),
      }),
      args: (folder, port) => [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        '--log.level=warn',
        `--web.listen-address=127.0.0.1:${port}`,
      ],
    })
    try {
      const api = async <T>(path: string): Promise<T> => {
        const { data, error } = (await (await fetch(`http://127.0.0.1:${asked.port}/api/v1/${path}`)).json()) as {
          data: T
          error?: string
        }
        if (error !== undefined) throw new Error(error)
        return data
      }
      interface Series {
        metric: Record<string, string>
        value: [number, string]
      }
      const ask = async ({ expr }: Pick<Query, 'expr'>) =>
        (await api<{ result: Series[] }>(`query?query=${encodeURIComponent(expr)}`)).result

      const scrapes = (count: number) =>
        vi.waitFor(async () => {
          const [seen] = await ask({ expr: 'count_over_time(up{job="claviger"}[20s])' })
          expect(Number(seen?.value[1])).toBeGreaterThanOrEqual(count)
        }, 20_000)
      await scrapes(2)
      // What happened before the first scrape is no rate.
      await useEverything(server.url)
      await scrapes(6)
      for (const query of queries) {
        const series = await ask(query)
        expect(series, `${query.panel}: ${query.expr}`).not.toEqual([])
        const labels = query.labels.filter((label) => label !== 'le')
        for (const { metric } of series) expect(Object.keys(metric), query.expr).toEqual(expect.arrayContaining(labels))
        // Not a number: a quotient of nothing by nothing.
        for (const { value } of series) expect(Number(value[1]), query.expr).not.toBeNaN()
      }
      const alerts = (parse(read('docs/alerts.yml')) as { groups: { rules: { alert: string }[] }[] }).groups.flatMap(
        ({ rules }) => rules.map(({ alert }) => alert),
      )
      await vi.waitFor(async () => {
        const { groups } = await api<{ groups: { rules: { name: string; health: string }[] }[] }>('rules')
        const judged = groups.flatMap(({ rules }) => rules)
        expect(judged.filter(({ health }) => health === 'ok').map(({ name }) => name)).toEqual(alerts)
      }, 10_000)
    } finally {
      await asked.close()
    }
  })
})
