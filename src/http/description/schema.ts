import type { Schema } from './shapes.ts'

/** A member of a JSON object, described for a table. */
export interface Field {
  /** With the path to it: `user.email`, `keys[].kid`. */
  name: string
  type: string
  required: boolean
  description: string
}

/** The members of an object, those of nested objects after their parents. */
export function fieldsOf(schema: Schema | undefined, prefix = ''): Field[] {
  return Object.entries(schema?.properties ?? {}).flatMap(([name, member]) => {
    const path = prefix + name
    const inner = member.type === 'array' ? fieldsOf(member.items, `${path}[].`) : fieldsOf(member, `${path}.`)
    return [
      {
        name: path,
        type: typeOf(member),
        required: schema?.required?.includes(name) ?? false,
        description: member.description ?? '',
      },
      ...inner,
    ]
  })
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ')
  if (schema.type === 'array') return `${schema.items ? typeOf(schema.items) : 'any'}[]`
  const { minLength, maxLength, minimum, maximum, format } = schema
  const type = Array.isArray(schema.type) ? schema.type.join(' | ') : (schema.type ?? 'any')
  return [type, typeof format === 'string' && `(${format})`, bounds(minLength ?? minimum, maxLength ?? maximum)]
    .filter(Boolean)
    .join(' ')
}

function bounds(low: number | undefined, high: number | undefined): string {
  if (low === undefined && high === undefined) return ''
  if (low === undefined) return `≤ ${high}`
  return high === undefined ? `≥ ${low}` : `${low}–${high}`
}

/** Examples of common members, so that the examples of different operations fit together. */
const SAMPLES: Readonly<Record<string, unknown>> = {
  email: 'ada@example.com',
  password: 'four quiet otters hum',
  current_password: 'four quiet otters hum',
  new_password: 'seven tall lamps glow',
  client_id: 'web',
  scope: 'account',
  audience: 'https://api.example.com',
  remember: true,
  id: '019f2b6e-6c1a-7c40-9d0e-2f6f4f1c9a55',
  access_token: 'eyJhbGciOiJSUzI1NiIsInR5cCI6ImF0K2p3dCIs…',
  refresh_token: 'rt1_Kx3v0mT9…',
  expires_in: 600,
  refresh_expires_in: 43200,
  email_verified: false,
  roles: ['editor'],
  created_at: '2026-11-22T09:30:00.000Z',
  last_used_at: '2026-11-22T10:10:00.000Z',
  expires_at: '2026-11-23T09:30:00.000Z',
  user_agent: 'Mozilla/5.0 …',
  address: '203.0.113.7',
  current: true,
  claims: {},
  kty: 'RSA',
  use: 'sig',
  alg: 'RS256',
  kid: 'k7Qh0a…',
  n: 'sXchDa…',
  e: 'AQAB',
}

/** An example with all required members. A sample by name takes precedence over one made from the schema. */
export function exampleOf(schema: Schema | undefined, name = ''): unknown {
  if (!schema) return undefined
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  if (Object.hasOwn(SAMPLES, name)) return SAMPLES[name]
  if (schema.anyOf) return exampleOf(schema.anyOf[0], name)
  if (schema.type === 'array') return [exampleOf(schema.items)]
  if (schema.properties) {
    const members = Object.entries(schema.properties).filter(([key]) => schema.required?.includes(key))
    return Object.fromEntries(members.map(([key, member]) => [key, exampleOf(member, key)]))
  }
  if (schema.type === 'object') return {}
  if (schema.type === 'boolean') return true
  if (schema.type === 'integer' || schema.type === 'number') return 0
  return '…'
}
