import { Problem, type ProblemCode } from '../errors.ts'
import type { Fault } from './fields.ts'
import type { View } from './view.ts'

/** A field that was left empty, which browsers prevent and others do not. */
export class Unfilled extends Problem {
  readonly field: string
  constructor(field: string) {
    super('invalid_request', { detail: 'A field is empty.' })
    this.field = field
  }
}

/** @throws Unfilled for the first of these fields that is empty. */
export function expectFilled<N extends string>(fields: Record<N, string>, names: readonly N[]): void {
  for (const name of names) if (fields[name] === '') throw new Unfilled(name)
}

/** The field of a form that each problem is about. Others are about the form as a whole. */
export type FieldsByProblem = Partial<Record<ProblemCode, string>>

/** What to tell the visitor of a problem with a form. */
export function faultOf(view: View, problem: Problem, fields: FieldsByProblem = {}): Fault {
  const { faults, mailed, signIn } = view.words
  const { code } = problem
  if (problem instanceof Unfilled) return { code, field: problem.field, text: faults.missing }
  const field = fields[code]
  // Of one password alone, not of a pair.
  if (code === 'invalid_credentials' && field !== undefined) return { code, field, text: faults.currentPassword }
  const text = textsOf(view)[code] ?? faults.broken
  const fault = { code, field, text: typeof text === 'string' ? text : text(view, problem) }
  if (code === 'invalid_grant') return { ...fault, way: { path: '/account/sign-in', label: signIn.title } }
  // Told only to whoever knows the password.
  return code === 'email_unverified' ? { ...fault, way: { path: '/account/resend', label: mailed.again } } : fault
}

type Text = string | ((view: View, problem: Problem) => string)

/** Whatever is missing here is a fault of ours, or none that a visitor can mend. */
function textsOf({ words: { faults } }: View): Partial<Record<ProblemCode, Text>> {
  return {
    invalid_request: faults.illFormed,
    invalid_email: faults.email,
    email_taken: faults.emailTaken,
    password_too_short: ({ config }) => faults.tooShort(config.PASSWORD_MIN_LENGTH),
    password_too_long: faults.tooLong,
    password_blocked: faults.blocked,
    invalid_code: faults.code,
    invalid_grant: faults.signedOut,
    email_unverified: faults.unverified,
    invalid_credentials: faults.credentials,
    registration_closed: faults.closed,
    origin_not_allowed: faults.lostCookie,
    too_many_requests: ({ locale }, { retryAfter = 60 }) => faults.tooMany(inTime(retryAfter, locale)),
    overloaded: faults.busy,
    unavailable: faults.busy,
  }
}

/** "in 30 seconds", "in 5 minutes". */
function inTime(seconds: number, locale: string): string {
  const format = new Intl.RelativeTimeFormat(locale)
  return seconds < 100 ? format.format(Math.ceil(seconds), 'second') : format.format(Math.ceil(seconds / 60), 'minute')
}
