import { readFile } from 'node:fs/promises'
import { text as readAll } from 'node:stream/consumers'
import { importKey, listKeys, type Rotation, rotateKeys } from '../keys/operator.ts'
import { listLacking, type Verifier } from '../revocations/receipts/verifiers.ts'
import { command } from './command.ts'
import { consent } from './consent.ts'
import { EXIT, Failure, refuse } from './exit.ts'
import { nameOf } from './reach.ts'
import { type Io, type Paint, table } from './terminal.ts'
import { duration, iso, when } from './times.ts'

type Key = Awaited<ReturnType<typeof listKeys>>[number]

const list = command({
  name: 'keys list',
  usage: '',
  summary: 'list signing keys, newest first',
  takes: [0, 0],
  options: {},
  run: async ({ open, paint, width }) => {
    const opened = await open()
    const keys = await listKeys(opened)
    const now = opened.clock()
    const next = keys.find(({ state }) => state === 'next')?.kid
    const lacking = next === undefined ? [] : await listLacking(opened.db, now, next)
    const rows = keys.map((key) => [
      key.kid,
      colour(key, paint),
      iso(key.createdAt),
      [nextStep(key, { keys, lacking, now }), ...notesOf(key)].join('; '),
    ])
    const text =
      keys.length === 0
        ? 'No keys: the server makes one when it starts.'
        : table(['KID', 'STATE', 'CREATED', 'WHAT COMES'], rows, { paint, width, below: true })
    return { json: { keys: keys.map((key) => toJson(key, lacking)) }, text }
  },
})

const rotate = command({
  name: 'keys rotate',
  usage: '[--compromised [--all] [--yes]]',
  summary: 'replace the signing key, with notice or at once',
  details: `Without options a new key is published now and signs a day later, so that no verifier meets a key it does not know. It
waits for services that report and do not hold it by then, for one more day at most: “claviger keys list” names them.

  --compromised   the active key is in wrong hands: it is withdrawn now and another one signs. Tokens that it signed are
                  refused within seconds by verifiers that follow the revocation feed, by others once they read the
                  key set again
  --all           with --compromised: withdraw every key, because the database and CLAVIGER_SECRET leaked together or
                  the secret is lost
  --yes           do not ask`,
  takes: [0, 0],
  options: { compromised: { type: 'boolean' }, all: { type: 'boolean' }, yes: { type: 'boolean' } },
  run: async ({ io, open, paint }, _args, { compromised = false, all = false, yes = false }) => {
    if (all && !compromised) refuse('--all goes with --compromised')
    const ask = consent(io, yes || !compromised)
    const opened = await open()
    const what = all ? 'Every key is' : 'The active key is'
    await ask(`${what} withdrawn at once: every access token signed with it is refused, and clients have to refresh.`)
    const rotation = await rotateKeys(opened, opened.operation(), { compromised, all })
    const text = describeRotation(rotation, opened.config.WITHDRAWN_KEYS, opened.clock(), paint)
    return { json: rotationToJson(rotation, opened.config.WITHDRAWN_KEYS), text }
  },
})

function describeRotation(rotation: Rotation, withdrawn: readonly string[], now: Date, paint: Paint): string {
  switch (rotation.outcome) {
    case 'scheduled':
      return `Published ${paint('bold', rotation.next)}. It signs from ${when(rotation.activatesAt, now)} on.`
    case 'already_scheduled':
      return rotation.activatesAt > now
        ? `Nothing to do: ${paint('bold', rotation.next)} is published already and signs from ${when(rotation.activatesAt, now)} on.`
        : `Nothing to do: ${paint('bold', rotation.next)} is published already. “claviger keys list” says for whom it waits.`
    case 'activated':
      return `There was no active key; ${paint('bold', rotation.active)} signs now.`
    case 'already_replaced':
      return `Nothing to do: the key has just been replaced${rotation.active ? ` by ${paint('bold', rotation.active)}` : ''}.`
    case 'replaced': {
      const { active, removed, trusted, exposure } = rotation
      return [
        ...removed.map((kid) => `Withdrew  ${paint('red', kid)}`),
        `Signs now ${paint('green', active)}`,
        ...trusted.map((kid) => `Trusted   ${kid}`),
        '',
        paint('bold', 'What a stolen key can still do'),
        `  this issuer’s other replicas    accept it for ${exposure.replicas} s at most`,
        '  verifiers that follow the feed  refuse it within seconds',
        `  other verifiers                 accept it for up to ${duration(exposure.verifiers)}: their cached key set, then tokens already accepted`,
        '  shared caches of the key set    purge them: one that cannot reach the issuer may keep the old set for a day',
        '',
        paint('bold', 'Put into the settings, so that a restore of the database does not bring it back'),
        `  WITHDRAWN_KEYS=${withAll(withdrawn, removed).join(',')}`,
        '',
        'Nobody is signed out: clients refresh and get tokens of the new key. Look for what a forged token was used for.',
      ].join('\n')
    }
    default:
      return rotation satisfies never
  }
}

/** WITHDRAWN_KEYS as it should be set: the present list and the keys that were removed. */
function withAll(withdrawn: readonly string[], removed: readonly string[]): string[] {
  return [...new Set([...withdrawn, ...removed])]
}

function rotationToJson(rotation: Rotation, withdrawn: readonly string[]) {
  switch (rotation.outcome) {
    case 'scheduled':
    case 'already_scheduled':
      return { outcome: rotation.outcome, next: rotation.next, activates_at: rotation.activatesAt }
    case 'replaced': {
      const { outcome, active, removed, trusted, exposure } = rotation
      return {
        outcome,
        active,
        removed,
        trusted,
        exposure_seconds: exposure,
        withdrawn_keys: withAll(withdrawn, removed),
      }
    }
    case 'activated':
    case 'already_replaced':
      return { outcome: rotation.outcome, active: rotation.active ?? null }
    default:
      return rotation satisfies never
  }
}

const importCommand = command({
  name: 'keys import',
  usage: '<file.pem|->',
  summary: 'take in a private RSA key',
  details: `PEM, PKCS #8 or PKCS #1, not encrypted, 2048 to 8192 bits; - reads standard input. It is published at once and signs
a day later; where there is no key yet, at once. Delete the file afterwards.`,
  takes: [1, 1],
  options: {},
  run: async ({ io, open, paint }, [file = '']) => {
    const pem = await readPem(io, file)
    const opened = await open()
    const { kid, state, activatesAt } = await importKey(opened, opened.operation(), pem)
    const signs = state === 'active' ? 'It signs now.' : `It signs from ${when(activatesAt, opened.clock())} on.`
    return { json: { kid, state, activates_at: activatesAt }, text: `Imported ${paint('bold', kid)}. ${signs}` }
  },
})

async function readPem(io: Io, file: string): Promise<string> {
  try {
    return file === '-' ? await readAll(io.stdin) : await readFile(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw new Failure(code === 'ENOENT' ? EXIT.notFound : EXIT.failed, `the file cannot be read (${code})`)
  }
}

function colour(key: Key, paint: Paint): string {
  const colours = { active: 'green', next: 'cyan', retiring: 'yellow', removed: 'dim' } as const
  return paint(colours[key.state], key.state)
}

function notesOf({ imported, compromised }: Key): string[] {
  return [...(imported ? ['imported'] : []), ...(compromised ? ['compromised'] : [])]
}

/** @param lacking the services that do not hold the next key. */
interface Schedule {
  keys: readonly Key[]
  lacking: readonly Verifier[]
  now: Date
}

/** Whether the key should sign by now, and services do not hold it. */
function isLate({ dueAt }: Key, { lacking, now }: Schedule): boolean {
  return lacking.length > 0 && dueAt !== null && dueAt <= now
}

function nextStep(key: Key, schedule: Schedule): string {
  const { keys, lacking, now } = schedule
  switch (key.state) {
    case 'next': {
      if (isLate(key, schedule)) return `waits for ${namesOf(lacking)}, until ${at(key.latestAt, now)} at the latest`
      const note = lacking.length > 0 ? `; not held yet by ${namesOf(lacking)}` : ''
      return `signs from ${at(key.dueAt, now)}${note}`
    }
    case 'active': {
      // If a successor is published already, it determines the date.
      const successor = keys.find(({ state }) => state === 'next')
      if (successor && isLate(successor, schedule))
        return `another one signs from ${at(successor.latestAt, now)} at the latest`
      return `another one signs from ${at((successor ?? key).dueAt, now)}`
    }
    case 'retiring':
      return `is removed ${at(key.dueAt, now)}`
    case 'removed':
      return `was removed ${at(key.removedAt, now)}`
    default:
      return key.state satisfies never
  }
}

function namesOf(verifiers: readonly Verifier[]): string {
  const [first, ...others] = verifiers.map(nameOf)
  return others.length === 0 ? `${first}` : `${first} and ${others.length} more`
}

function at(date: Date | null, now: Date): string {
  return date ? when(date, now) : '-'
}

function toJson(key: Key, lacking: readonly Verifier[]) {
  return {
    kid: key.kid,
    state: key.state,
    imported: key.imported,
    compromised: key.compromised,
    created_at: key.createdAt,
    activated_at: key.activatedAt,
    retired_at: key.retiredAt,
    removed_at: key.removedAt,
    due_at: key.dueAt,
    latest_at: key.latestAt,
    lacked_by: key.state === 'next' ? lacking.map(({ clientId, instance }) => ({ client_id: clientId, instance })) : [],
  }
}

export const keyCommands = [list, rotate, importCommand]
