import { randomUUID } from 'node:crypto'
import type { Config } from '../config/config.ts'
import { storedForm } from '../credentials/passwords/imported.ts'
import { Problem } from '../errors.ts'
import { isUuid } from '../uuid.ts'
import { normaliseEmail } from './email.ts'
import type { ImportedUser } from './import-queries.ts'
import { checkClaims, checkRoles, checkRoom } from './rights.ts'

/** What is wrong with a line. It never repeats what stands there: hashes and addresses do not belong on a screen. */
class Fault extends Error {}

const isText = (value: unknown): value is string => typeof value === 'string'
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isListOfTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)

/** Each member of a line, and what it must be. */
const MEMBERS = {
  id: { is: isUuid, form: 'a UUID in lower case' },
  email: { is: isText, form: 'a text' },
  email_verified: { is: isFlag, form: 'true or false' },
  password_hash: { is: (value: unknown) => value === null || isText(value), form: 'a text or null' },
  roles: { is: isListOfTexts, form: 'a list of texts' },
  claims: { is: isRecord, form: 'an object' },
  disabled: { is: isFlag, form: 'true or false' },
  created_at: { is: isText, form: 'a time in the form of ISO 8601' },
} as const

interface Line {
  id?: string
  email?: string
  email_verified?: boolean
  password_hash?: string | null
  roles?: string[]
  claims?: Record<string, unknown>
  disabled?: boolean
  created_at?: string
}

/** What every line is judged by. */
export interface Rules {
  config: Config
  /** How many bytes of JSON roles and claims may take together. */
  room: number
  now: Date
}

/** Reads one line of an import, a JSON object. @returns the account, or what is wrong with it. */
export function readUser(rules: Rules, text: string): ImportedUser | { fault: string } {
  try {
    return toUser(rules, parse(text))
  } catch (error) {
    if (error instanceof Fault) return { fault: error.message }
    if (error instanceof Problem) return { fault: [error.title, error.detail].filter(Boolean).join('. ') }
    throw error
  }
}

function parse(text: string): Line {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Fault('It is not JSON')
  }
  if (!isRecord(value)) throw new Fault('It is not a JSON object')
  for (const [name, member] of Object.entries(value)) {
    const rule = Object.hasOwn(MEMBERS, name) ? MEMBERS[name as keyof typeof MEMBERS] : undefined
    if (!rule) throw new Fault(`It has a member besides ${Object.keys(MEMBERS).join(', ')}`)
    if (!rule.is(member as never)) throw new Fault(`${name} is not ${rule.form}`)
  }
  return value
}

function toUser({ config, room, now }: Rules, line: Line): ImportedUser {
  if (line.email === undefined) throw new Fault('email is missing')
  const { password_hash: hash = null, claims = {} } = line
  const passwordHash = hash === null ? null : storedForm(hash, config)
  if (passwordHash === undefined)
    throw new Fault('password_hash is of no form that is verified, or of a cost that no server can afford')
  const roles = checkRoles(line.roles ?? [])
  checkClaims(claims)
  checkRoom(room, { roles, claims })
  const createdAt = line.created_at === undefined ? now : new Date(line.created_at)
  if (!(createdAt <= now)) throw new Fault('created_at is no time, or in the future')
  return {
    id: line.id ?? randomUUID(),
    email: normaliseEmail(line.email),
    emailVerified: line.email_verified ?? false,
    passwordHash,
    roles,
    claims,
    disabledAt: line.disabled === true ? now : null,
    createdAt,
  }
}
