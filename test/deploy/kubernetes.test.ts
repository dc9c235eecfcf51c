import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { settings } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/parse.ts'
import { createTestApp } from '../support/app.ts'
import { read } from '../support/pages.ts'
import { findTool, judge } from './tools.ts'

const FILE = 'deploy/kubernetes/claviger.yaml'
/** What is under way when the process is told to stop may take so long (src/http/server/listeners.ts). */
const CUT_OFF_SECONDS = 25

interface Container {
  name: string
  args?: string[]
  env: { name: string; value: string }[]
  ports: { name: string; containerPort: number }[]
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]
  lifecycle: { preStop: { exec: { command: [string, string] } } }
  securityContext: object
  [probe: `${string}Probe`]: { httpGet: { path: string; port: string } }
}

interface Port {
  name: string
  port: number | string
  targetPort: string
}

/** What the tests read of it; whether it is Kubernetes' own shape, its schemas say. */
interface Resource {
  kind: string
  metadata: { name: string }
  data: Record<string, string>
  spec: {
    selector: { matchLabels?: object }
    podSelector: { matchLabels: object }
    ports: Port[]
    ingress: { ports: Port[] }[]
    template: { metadata: { labels: object }; spec: PodSpec }
  }
}

interface PodSpec {
  automountServiceAccountToken: boolean
  enableServiceLinks: boolean
  terminationGracePeriodSeconds: number
  securityContext: object
  initContainers: [Container]
  containers: [Container]
  volumes: { name: string; secret?: { secretName: string } }[]
}

const text = read(FILE)
// As Kubernetes reads it: with the octal numbers of YAML 1.1.
const resources = parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as Resource)
const find = (kind: string, name = 'claviger') => {
  const found = resources.find((each) => each.kind === kind && each.metadata.name === name)
  if (!found) throw new Error(`there is no ${kind} ${name}`)
  return found
}
const { template } = find('Deployment').spec
const pod = template.spec
const [migrate] = pod.initContainers
const [server] = pod.containers
const { data } = find('ConfigMap')
const image = Object.fromEntries([...read('Dockerfile').matchAll(/\b([A-Z_]+)=(\S+)/g)].map((found) => found.slice(1)))
const portOf = (name: string) => server.ports.find((port) => port.name === name)?.containerPort

const validate = findTool('kubernetes-validate')

test.skipIf(!validate)('every resource is what the schemas of Kubernetes ask for, and nothing else', async () => {
  const { code, said } = await judge(validate as string, ['--strict', FILE])
  expect(said.split('\n').filter((line) => !line.startsWith('INFO '))).toEqual([])
  expect(said.match(/ passed for resource /g)).toHaveLength(resources.length)
  expect(code).toBe(0)
})

describe('settings', () => {
  const secretFiles = {
    'claviger-secret': Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64'),
    'serving-url': 'postgres://claviger_serve:a-password@10.0.0.9/claviger',
  }

  test('all are known', () => {
    const known = Object.entries(settings).flatMap(([name, { secret }]) => (secret ? [`${name}_FILE`] : [name]))
    const named = [...Object.keys(data), ...[migrate, server].flatMap(({ env }) => env.map(({ name }) => name))]
    expect(named.filter((name) => !known.includes(name))).toEqual([])
  })

  test('a server starts with them, in production, and has nothing to warn of', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'claviger-kubernetes-'))
    try {
      for (const [name, value] of Object.entries(secretFiles)) await writeFile(join(folder, name), `${value}\n`)
      const mounted = (path = '') => join(folder, path.replace('/run/secrets/claviger/', ''))
      const { config, warnings } = parseConfig({
        NODE_ENV: image.NODE_ENV,
        HOST: image.HOST,
        PORT: image.PORT,
        ...data,
        CLAVIGER_SECRET_FILE: mounted(data.CLAVIGER_SECRET_FILE),
        DATABASE_URL_FILE: mounted(server.env.find(({ name }) => name === 'DATABASE_URL_FILE')?.value),
      })
      expect(warnings).toEqual([])
      expect([config.production, config.PORT, config.METRICS_PORT]).toEqual([true, portOf('http'), portOf('metrics')])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('no secret is among them, and what is mounted is what the commands in its head make', () => {
    expect(text).not.toMatch(
      /postgres:\/\/|name: (DATABASE_URL|CLAVIGER_SECRET),|^ {2}(DATABASE_URL|CLAVIGER_SECRET):/m,
    )
    const made = Object.fromEntries(
      [...text.matchAll(/create secret generic (\S+)(.*)/g)].map(([, name = '', options = '']) => [
        name,
        [...options.matchAll(/--from-file=(\S+)/g)].map(([, file]) => file),
      ]),
    )
    expect(made).toEqual({ claviger: Object.keys(secretFiles), 'claviger-owner': ['owner-url'] })
    for (const container of [migrate, server]) {
      const files = [data.CLAVIGER_SECRET_FILE, ...container.env.map(({ value }) => value)]
      for (const file of files) {
        const mount = container.volumeMounts.find(({ mountPath }) => file?.startsWith(`${mountPath}/`))
        const secret = pod.volumes.find(({ name }) => name === mount?.name)?.secret?.secretName
        expect(made[secret ?? '']).toContain(file?.split('/').at(-1))
        expect(mount?.readOnly).toBe(true)
      }
    }
  })

  test('the role that owns the tables is known to the migration alone', () => {
    expect(pod.initContainers).toEqual([migrate])
    expect(pod.containers).toEqual([server])
    expect(migrate.args).toEqual(['migrate', '--grant-to', 'claviger_serve'])
    expect(read('docs/operations.md')).toContain(`claviger ${migrate.args?.join(' ')}`)
    expect(JSON.stringify(server)).not.toContain('owner')
    expect(JSON.stringify(migrate.volumeMounts)).toContain('owner')
  })
})

test('probes ask what there is, where it is', async () => {
  await using t = await createTestApp()
  for (const probe of [server.startupProbe, server.livenessProbe, server.readinessProbe]) {
    expect(probe?.httpGet.port).toBe('http')
    expect((await t.app.inject(probe?.httpGet.path ?? '')).statusCode).toBe(200)
  }
  expect(server.readinessProbe?.httpGet.path).not.toBe(server.livenessProbe?.httpGet.path)
})

test('ports and selectors lead to the pods', () => {
  expect(portOf('http')).toBe(Number(image.PORT))
  const { labels } = template.metadata
  const [http, metrics] = [find('Service'), find('Service', 'claviger-metrics')]
  expect(http.spec.ports.map(({ targetPort }) => targetPort)).toEqual(['http'])
  expect(metrics.spec.ports.map(({ targetPort, port }) => [targetPort, port])).toEqual([['metrics', portOf('metrics')]])
  for (const { spec } of [http, metrics]) expect(spec.selector).toEqual(labels)
  for (const kind of ['Deployment', 'PodDisruptionBudget']) expect(find(kind).spec.selector.matchLabels).toEqual(labels)
  const policy = find('NetworkPolicy').spec
  expect(policy.podSelector.matchLabels).toEqual(labels)
  expect(policy.ingress.flatMap(({ ports }) => ports.map(({ port }) => port))).toEqual(['http', 'metrics'])
})

test('a pod that leaves has the time that it takes', () => {
  const [command, seconds] = server.lifecycle.preStop.exec.command
  expect(command).toBe('sleep')
  const takes = Number(seconds) + Number(data.SHUTDOWN_DELAY_SECONDS) + CUT_OFF_SECONDS
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(takes)
})

test('pods are confined as the Pod Security Standard "restricted" asks', () => {
  expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  for (const { securityContext } of [migrate, server]) {
    expect(securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  }
  expect(pod.automountServiceAccountToken).toBe(false)
})

test('no Service of the namespace becomes a setting', () => {
  // What Kubernetes would set otherwise, and what then becomes of the start.
  expect(() => parseConfig({ METRICS_PORT: 'tcp://10.96.0.7:9100' })).toThrow('METRICS_PORT: looks like a Kubernetes')
  expect(pod.enableServiceLinks).toBe(false)
})
