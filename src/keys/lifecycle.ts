import type { Config } from '../config/config.ts'
import type { KeyState } from '../db/schema.ts'
import { DAY } from '../durations.ts'

/** What the rule needs to know about a key that is not removed. */
export interface KeyFacts {
  kid: string
  state: Exclude<KeyState, 'removed'>
  createdAt: Date
  activatedAt: Date | null
  retiredAt: Date | null
  /** Fingerprint of the CLAVIGER_SECRET that sealed it. */
  sealedBy: string
  /** Whether this server's CLAVIGER_SECRET opens it. */
  usable: boolean
}

/** Durations are in milliseconds. */
export interface Policy {
  /** From the activation of one key to the activation of the next. */
  rotation: number
  /** From publication to the first signature, so that every verifier has the key by then. */
  publishAhead: number
  /** By how much services that do not hold the next key may put off its first signature. */
  longestWait: number
  /** From the last signature to removal, so that the last token has expired by then. */
  retireAfter: number
  /** Fingerprint of the CLAVIGER_SECRET that seals. */
  sealWith: string
  /** `kid`s of compromised keys, whatever the table says about them. */
  withdrawn: ReadonlySet<string>
}

export type Action =
  | { type: 'create'; state: 'next' | 'active' }
  | { type: 'retire' | 'activate' | 'remove' | 'reseal' | 'withdraw'; kid: string }

/**
 * Publishing 24 h ahead is far longer than verifiers cache the key set (max-age 300 s). Keeping a key for 24 h
 * afterwards is longer than the longest access token (3600 s) with leeway (60 s) and that cache. So nobody notices a
 * planned rotation.
 */
export function keyPolicy(
  { KEY_ROTATION_DAYS, WITHDRAWN_KEYS }: Pick<Config, 'KEY_ROTATION_DAYS' | 'WITHDRAWN_KEYS'>,
  sealWith: string,
): Policy {
  const withdrawn = new Set(WITHDRAWN_KEYS)
  const rotation = KEY_ROTATION_DAYS * DAY
  return { rotation, publishAhead: DAY, longestWait: DAY, retireAfter: DAY, sealWith, withdrawn }
}

/**
 * What is due now, in the order in which to do it. Every replica asks every minute and the first one acts, so the same
 * facts must give the same answer, and acting on it must leave nothing due.
 * @param awaited the key that is not to sign yet, because services have said that they do not hold it. Nobody can have it
 * wait for longer than `longestWait`, and where no key signs it does not wait at all.
 */
export function plan(all: readonly KeyFacts[], now: Date, policy: Policy, awaited?: string): Action[] {
  const keys = all.filter(({ kid }) => !policy.withdrawn.has(kid))
  const actions: Action[] = all.filter((key) => !keys.includes(key)).map(({ kid }) => ({ type: 'withdraw', kid }))
  const active = keys.find((key) => key.state === 'active')
  const next = keys.find((key) => key.state === 'next')
  // A server with the wrong CLAVIGER_SECRET must not replace keys merely because it cannot open them.
  if (active?.usable === false || next?.usable === false) return actions

  if (!active) {
    actions.push(next ? { type: 'activate', kid: next.kid } : { type: 'create', state: 'active' })
  } else if (next) {
    const from = next.kid === awaited ? latestAt(next, policy) : dueAt(next, policy)
    if (now >= from) actions.push({ type: 'retire', kid: active.kid }, { type: 'activate', kid: next.kid })
  } else if (now.getTime() >= dueAt(active, policy).getTime() - policy.publishAhead) {
    actions.push({ type: 'create', state: 'next' })
  }
  for (const key of keys) {
    if (key.state === 'retiring' && isDue(key, now, policy)) actions.push({ type: 'remove', kid: key.kid })
    else if (key.usable && key.sealedBy !== policy.sealWith) actions.push({ type: 'reseal', kid: key.kid })
  }
  return actions
}

/**
 * When the schedule moves a key to its next state. A `next` key is activated as soon as it has been published for long
 * enough, so making one early means rotating early.
 */
export function dueAt(key: Pick<KeyFacts, 'state' | 'createdAt' | 'activatedAt' | 'retiredAt'>, policy: Policy): Date {
  const [since, wait] = {
    next: [key.createdAt, policy.publishAhead] as const,
    active: [key.activatedAt ?? key.createdAt, policy.rotation] as const,
    retiring: [key.retiredAt ?? key.createdAt, policy.retireAfter] as const,
  }[key.state]
  return new Date(since.getTime() + wait)
}

/** When a `next` key signs at the latest, whoever does not hold it. */
export function latestAt({ createdAt }: Pick<KeyFacts, 'createdAt'>, policy: Policy): Date {
  return new Date(createdAt.getTime() + policy.publishAhead + policy.longestWait)
}

function isDue(key: KeyFacts, now: Date, policy: Policy): boolean {
  return now.getTime() >= dueAt(key, policy).getTime()
}
