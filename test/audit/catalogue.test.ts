import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CATALOGUE } from '../../src/audit/catalogue.ts'
import { createTestApp, type TestApp } from '../support/app.ts'
import { read } from '../support/pages.ts'
import { CAUSES, type Kind } from './causes.ts'

interface Form {
  type: string
  outcome: 'success' | 'failure'
  reasons: Record<string, string>
  details: Record<string, { kind: string; meaning: string; optional?: true }>
  tallied: boolean
}

/** The catalogue without its types: every event and outcome. */
const forms: Form[] = Object.entries(CATALOGUE).flatMap(([type, entry]) =>
  (['success', 'failure'] as const).flatMap((outcome) => {
    const form = (entry as Partial<Record<typeof outcome, Partial<Form>>>)[outcome]
    return form
      ? [{ type, outcome, reasons: form.reasons ?? {}, details: form.details ?? {}, tallied: form.tallied ?? false }]
      : []
  }),
)

/** Every event with each of its reasons. */
const cases = forms.flatMap((form) => {
  const reasons: (string | null)[] = Object.keys(form.reasons)
  return (reasons.length > 0 ? reasons : [null]).map((reason) => ({
    kind: `${form.type} ${reason ?? form.outcome}`,
    reason,
    form,
  }))
})

describe('every event comes about, and says what the catalogue tells', () => {
  let t: TestApp
  beforeAll(async () => {
    t = await createTestApp()
  })
  afterAll(() => t[Symbol.asyncDispose]())

  test('of each kind there is a cause, and of no other', () => {
    expect(Object.keys(CAUSES).toSorted()).toEqual(cases.map(({ kind }) => kind).toSorted())
  })

  test.each(cases)('$kind', async ({ kind, reason, form }) => {
    const trail = t.db
      .selectFrom('audit')
      .select(['seq', 'type', 'outcome', 'reason', 'details'])
      .orderBy('seq', 'desc')
    const last = (await trail.limit(1).executeTakeFirst())?.seq ?? '0'
    await CAUSES[kind as Kind](t)

    const rows = await trail.where('seq', '>', last).execute()
    const said = rows.map((row) => ({ type: row.type, outcome: row.outcome, reason: row.reason }))
    expect(said).toContainEqual({ type: form.type, outcome: form.outcome, reason })
    for (const { details } of rows.filter((row) => row.type === form.type && row.reason === reason)) {
      expect(shapeOf(details)).toEqual(expectedShape(form, details))
    }
  })
})

function shapeOf(details: Record<string, unknown>): Record<string, string> {
  const kinds = Object.entries(details).map(([name, value]) => [name, kindOf(value)])
  return Object.fromEntries(kinds)
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return value.every((each) => typeof each === 'string') ? 'names' : 'array'
  return { string: 'text', number: 'number', object: 'settings' }[typeof value as string] ?? typeof value
}

function expectedShape({ details, tallied }: Form, found: object): Record<string, string> {
  const fields = Object.entries(details).filter(([name, { optional }]) => !optional || name in found)
  return { ...Object.fromEntries(fields.map(([name, { kind }]) => [name, kind])), ...(tallied && { count: 'number' }) }
}

describe('the tables of docs/operations.md are those of the catalogue', () => {
  const page = read('docs/operations.md')

  test('events', () => {
    const rows = Object.entries(CATALOGUE).map(([type, { meaning }]) => {
      const fields = forms
        .filter((form) => form.type === type)
        .flatMap(({ details }) => Object.entries(details))
        .map(([name, field]) => `\`${name}\`: ${field.meaning}`)
      return `| \`${type}\` | ${meaning} | ${fields.join('; ')} |`
    })
    expect(tableOf(page, '| type | what happened | `details` |')).toEqual(rows)
  })

  test('reasons', () => {
    const rows = forms.flatMap(({ type, reasons }) =>
      Object.entries(reasons).map(([reason, meaning]) => `| \`${type}\` | \`${reason}\` | ${meaning} |`),
    )
    expect(tableOf(page, '| type | reason | meaning |')).toEqual(rows)
  })
})

/** The rows under a heading. */
function tableOf(page: string, heading: string): string[] {
  const lines = page.split('\n')
  const start = lines.indexOf(heading)
  if (start === -1) throw new Error(`no table is headed ${heading}`)
  const rest = lines.slice(start + 2)
  return rest.slice(
    0,
    rest.findIndex((line) => !line.startsWith('|')),
  )
}
