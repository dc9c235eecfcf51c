import { type DestinationStream, destination, type LogFn, type Logger, pino } from 'pino'
import type { Config } from './config/config.ts'

export type Log = Logger

/**
 * Writes one JSON object per line to standard output. Three walls keep secrets out: requests and replies are never
 * serialised, members with telling names are redacted at any depth, and anything in the finished line that looks like a
 * credential is redacted, wherever it came from.
 * @param to `shared` is standard output to which other processes write as well: each line says whose it is, and goes out whole.
 */
export function createLog(config: Pick<Config, 'LOG_LEVEL'>, to?: DestinationStream | 'shared'): Log {
  const shared = to === 'shared'
  const options = {
    level: config.LOG_LEVEL,
    base: shared ? { pid: process.pid } : null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: (object: Record<string, unknown>) => withoutSecrets(object, 0) as Record<string, unknown>,
    },
    // A framework or a hasty debug line may log these whole, and headers, bodies and query strings hold credentials.
    serializers: { err: (error: unknown) => error, req: () => undefined, res: () => undefined },
    hooks: { streamWrite: shared ? (line: string) => wholeLine(cleanLine(line)) : cleanLine, logMethod: nameErrors },
  }
  if (shared) return pino(options, destination({ maxWrite: WHOLE_BYTES }))
  return to ? pino(options, to) : pino(options)
}

/** Without a message of ours, pino would use the error's own as `msg`, bypassing the rules for errors below. */
function nameErrors(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  const [first, message, ...rest] = args as [unknown, string | undefined, ...unknown[]]
  const merged = first instanceof Error ? { err: first } : first
  const text = message ?? (typeof merged === 'object' && merged !== null && 'err' in merged ? 'an error' : undefined)
  method.apply(this, (text === undefined ? [merged] : [merged, text, ...rest]) as Parameters<LogFn>)
}

const SECRET_NAME =
  /^(authorization|cookie|set-?cookie|password|new_?password|current_?password|refresh_?token|access_?token|device_?token|token|private_?key|database_?url|sealed_private|headers|body|query)$|secret$/i

function withoutSecrets(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (value instanceof Error) return describeError(value)
  if (depth > 4) return '[deep]'
  if (Buffer.isBuffer(value)) return '[bytes]'
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET_NAME.test(name) ? '[redacted]' : withoutSecrets(item, depth + 1),
    ]),
  )
}

/** Refresh and device tokens, secrets of services, anything shaped like a JWS, bearer credentials, the user part of URLs, password hashes, PEM keys. */
const CREDENTIAL =
  /(?:[dr]t|cvs)1_[A-Za-z0-9_-]{8,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)?|\$(?:argon2id?|2[aby]|scrypt|pbkdf2-sha\d+)\$[^"\s]+|-----BEGIN [A-Z ]*PRIVATE KEY[^"]*|(?<=\b(?:bearer|basic) +)[\w.~+/=-]{8,}|(?<=[a-z]:\/\/)[^/@"\s]+(?=@)/gi

/**
 * Characters that JSON lets through and that still break a line, hide text or reorder it on a screen: C1 controls,
 * line and paragraph separators, bidi controls, zero-width characters.
 */
const DECEPTIVE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

/** What is longer may be torn apart by the lines of another process (PIPE_BUF of Linux, pipe(7)). */
const WHOLE_BYTES = 4096

/** Shortens the members of a line that is too long to be written in one piece. */
export function wholeLine(line: string): string {
  let whole = line
  for (let most = 1024; Buffer.byteLength(whole) > WHOLE_BYTES && most >= 1; most /= 2) {
    const shortened = JSON.stringify(JSON.parse(line), (_name, value: unknown) =>
      typeof value === 'string' && value.length > most ? `${value.slice(0, most)}…` : value,
    )
    whole = cleanLine(`${shortened}\n`)
  }
  return whole
}

/** Works on the finished line: in JSON, these characters occur only within strings, where an escape is equivalent. */
function cleanLine(line: string): string {
  return line
    .replace(CREDENTIAL, '[redacted]')
    .replace(DECEPTIVE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** What is logged of an error. PostgreSQL's `detail`, `where` and bind parameters quote rows, so they are left out. */
const KEPT = ['code', 'reason', 'syscall', 'severity', 'schema', 'table', 'column', 'constraint', 'routine'] as const

function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return typeof error === 'object' ? '[object]' : error
  const described: Record<string, unknown> = { type: error.name, message: withheld(error) ?? error.message }
  for (const name of KEPT) {
    const value = (error as unknown as Record<string, unknown>)[name]
    if (typeof value === 'string' && value !== '') described[name] = value
  }
  // Without its head, which repeats the message.
  const frames = error.stack?.indexOf('\n    at ') ?? -1
  if (frames >= 0) described.stack = error.stack?.slice(frames + 1)
  if (error.cause !== undefined && depth < 3) described.cause = describeError(error.cause, depth + 1)
  if (error instanceof AggregateError && depth < 3) {
    described.errors = error.errors.slice(0, 5).map((each) => describeError(each, depth + 1))
  }
  return described
}

/** Messages that quote their input: a JSON parser's, and PostgreSQL's data exceptions (class 22). */
function withheld(error: Error): string | undefined {
  if (error instanceof SyntaxError) return 'the text could not be parsed (message withheld: it quotes the text)'
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code))
    return 'data exception (message withheld: it quotes the value)'
  return undefined
}
