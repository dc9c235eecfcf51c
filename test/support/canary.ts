import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'

/*
 * Everything that a run of the suite leaves behind, in a log or in a database, is kept in one folder and searched at the
 * end for what must never be at rest: tokens, passwords, keys, cookies (REQ-159).
 */
const FOLDER = 'CANARY_FOLDER'

/** Remembers a secret that a test has used; one of few letters, such as a row of x, stands in many places by itself. */
export function noteSecret(secret: string): void {
  const folder = process.env[FOLDER]
  if (folder && secret.length >= 8 && new Set(secret).size > 3)
    appendFileSync(join(folder, 'secrets'), `${JSON.stringify(secret)}\n`)
}

/** Remembers every password and server secret of a request's body and of settings. */
export function noteSecretsOf(values: unknown): void {
  if (typeof values !== 'object' || values === null) return
  for (const name of ['password', 'current_password', 'new_password', 'CLAVIGER_SECRET']) {
    const value = (values as Record<string, unknown>)[name]
    // An address that is tried as a password stands in the users' table all the same.
    if (typeof value === 'string' && !value.endsWith('@example.com')) noteSecret(value)
  }
}

/** Every row of every table as text, as a dump would hold it. */
export async function keepDump(databaseUrl: string): Promise<void> {
  const folder = process.env[FOLDER]
  if (!folder) return
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows: tables } = await client.query<{ name: string }>(
      // From 16384 on they are of users. To ask each that has never had a row takes longer than all the rest.
      `SELECT oid::regclass::text AS name FROM pg_class
        WHERE relkind = 'r' AND oid >= 16384 AND pg_relation_size(oid) > 0`,
    )
    if (tables.length === 0) return
    const all = tables.map(({ name }) => `SELECT '${name} ' || t::text AS row FROM ${name} t`).join(' UNION ALL ')
    const { rows } = await client.query<{ row: string }>(all)
    appendFileSync(join(folder, 'dump'), rows.map(({ row }) => `${row}\n`).join(''))
  } finally {
    await client.end()
  }
}

/**
 * Where a token may begin: not within a longer word of its letters, or one public key in fifty thousand would hold one by
 * chance. In URLs and in strings of JSON, what stands before it may end with a letter.
 */
const BEGINNING = String.raw`(?<=^|[^A-Za-z0-9_-]|%[0-9A-Fa-f]{2}|\\[nrt])`
const tokenOf = (prefix: string) => new RegExp(`${BEGINNING}${prefix}_[A-Za-z0-9_-]{40,}`)

/** What no dump and no log may hold, whoever's it is. */
const FORMS: Record<string, RegExp> = {
  'a refresh token': tokenOf('rt1'),
  // Of the bytes after the prefix each is a letter of base64url, so that no hash and nothing sealed has this form by chance.
  'a refresh token in hexadecimal': /7274315f(?:2d|5f|3[0-9]|[46][1-9a-f]|[57][0-9a]){40,}/,
  'a device token': tokenOf('dt1'),
  'a secret of a service client': tokenOf('cvs1'),
  'a JWT': /eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/,
  'a private key (PEM)': /BEGIN [A-Z ]*PRIVATE KEY/,
  'a private key (PKCS #8)': /MII[A-Za-z0-9+/]{3}IBADANBgkqhki/,
  'a private key (JWK)': /"(d|dp|dq|qi)": ?"[A-Za-z0-9_-]{20,}"/,
  'a cookie': /__Host-(refresh_token[.\w-]*|device)=[^;\s"']/,
}
const FORMS_IN_LOGS: Record<string, RegExp> = { ...FORMS, 'a password hash': /\$argon2id\$/ }

/** Names what was found, each with the beginning of its line up to it; never the secret itself. */
export function findSecrets(text: string, secrets: Iterable<string>, where: 'dump' | 'log'): string[] {
  const found: string[] = []
  const lines = text.split('\n')
  for (const [name, form] of Object.entries(where === 'log' ? FORMS_IN_LOGS : FORMS)) {
    for (const line of lines) {
      const at = form.exec(line)
      if (at) found.push(`${where}: ${name} after ${JSON.stringify(line.slice(Math.max(0, at.index - 60), at.index))}`)
    }
  }
  for (const secret of secrets) {
    const at = text.indexOf(secret)
    if (at >= 0)
      found.push(
        `${where}: a password or server secret (${secret.length} characters, from ${secret.slice(0, 4)}…) after ${JSON.stringify(text.slice(Math.max(0, at - 60), at))}`,
      )
  }
  return found
}

/** @throws Error naming every kind of secret that the run has left at rest. */
export function searchFolder(folder: string): { logBytes: number; dumpBytes: number; secrets: number } {
  const read = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '')
  const secrets = new Set(
    read('secrets')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as string),
  )
  const [log, dump] = [read('log'), read('dump')]
  const found = [...findSecrets(log, secrets, 'log'), ...findSecrets(dump, secrets, 'dump')]
  if (found.length > 0) {
    throw new Error(`${found.length} secrets were found at rest:\n  ${[...new Set(found)].slice(0, 20).join('\n  ')}`)
  }
  return { logBytes: log.length, dumpBytes: dump.length, secrets: secrets.size }
}

export { FOLDER as CANARY_FOLDER }
