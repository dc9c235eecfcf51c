import type { readPlaces } from '../../db/placed.ts'
import { PLACEMENTS } from '../../db/placement.ts'
import type { TableFacts } from '../../db/statistics.ts'
import { HOUR } from '../../durations.ts'
import { dueAt, type KeyFacts, latestAt, type Policy } from '../../keys/lifecycle.ts'
import type { listKeys } from '../../keys/operator.ts'
import { findStale, type Verifier } from '../../revocations/receipts/verifiers.ts'
import { relative, when } from '../times.ts'
import { bad, type Finding, fine, unsure } from './finding.ts'

type WithdrawnFacts = Pick<Awaited<ReturnType<typeof listKeys>>[number], 'kid' | 'state' | 'compromised'>

/** Findings about compromised keys that a restore has brought back, or would bring back. */
export function judgeWithdrawn(keys: readonly WithdrawnFacts[], withdrawn: readonly string[]): Finding[] {
  const check = 'signing keys'
  const back = keys.filter(({ kid, state }) => withdrawn.includes(kid) && state !== 'removed')
  const unlisted = keys.filter(({ kid, compromised }) => compromised && !withdrawn.includes(kid))
  return [
    ...back.map(({ kid, state }) =>
      bad(
        check,
        `${kid} is in WITHDRAWN_KEYS and back in the table (${state}), as after a restore`,
        'restart the servers with these settings: none believes it, and the first one removes it',
      ),
    ),
    ...(unlisted.length === 0
      ? []
      : [
          unsure(
            check,
            'a restore would bring back keys that were withdrawn as compromised',
            `set WITHDRAWN_KEYS=${[...withdrawn, ...unlisted.map(({ kid }) => kid)].join(',')}`,
          ),
        ]),
  ]
}

/** @param awaited the next key, if services that report do not hold it yet. */
export function judgeKeys(all: readonly KeyFacts[], now: Date, policy: Policy, awaited?: string): Finding[] {
  const check = 'signing keys'
  const keys = all.filter(({ kid }) => !policy.withdrawn.has(kid))
  const findings: Finding[] = []
  const closed = keys.filter((key) => !key.usable)
  for (const key of closed) {
    const message = `CLAVIGER_SECRET does not open the ${key.state} key ${key.kid}`
    const remedy =
      'add the CLAVIGER_SECRET that sealed it to the end of the list; if that is lost: claviger keys rotate --compromised --all'
    findings.push(key.state === 'retiring' ? unsure(check, message, remedy) : bad(check, message, remedy))
  }
  const active = keys.find((key) => key.state === 'active')
  if (!active) return [...findings, unsure(check, 'there is no active key', 'start the server: it makes one')]
  if (active.usable) {
    const next = keys.find((key) => key.state === 'next')
    const waits = next !== undefined && next.kid === awaited && now >= dueAt(next, policy)
    const due = waits ? latestAt(next, policy) : dueAt(next ?? active, policy)
    const takesOver = waits ? 'waits for services that do not hold it, and takes over' : 'takes over'
    const since = active.activatedAt ?? active.createdAt
    findings.push(
      fine(check, `${active.kid} signs since ${when(since, now)}; the next one ${takesOver} ${relative(due, now)}`),
    )
    if (now.getTime() - due.getTime() > HOUR) {
      findings.push(
        unsure(
          check,
          `that was due ${relative(due, now)}`,
          'keys rotate only while a server runs: start one, or look at its log',
        ),
      )
    }
  }
  const older = keys.filter((key) => key.usable && key.sealedBy !== policy.sealWith).length
  if (older > 0) {
    findings.push(
      unsure(
        check,
        `${older} sealed with an older CLAVIGER_SECRET`,
        'a running server re-seals them within a minute: keep the old secret until then',
      ),
    )
  }
  return findings
}

/** Of services that report what they have heard. Where none does there is nothing to be said. */
export function judgeVerifiers(verifiers: readonly Verifier[]): Finding[] {
  if (verifiers.length === 0) return []
  const check = 'verifiers'
  const stale = findStale(verifiers).length
  if (stale === 0) return [fine(check, 'services that report are up to date with the revocation feed')]
  const which = `${stale} of ${verifiers.length} instances of services that report`
  return [unsure(check, `${which} are not up to date with the revocation feed`, 'claviger verifiers')]
}

/** @param overdue the number of rows that expired more than a day ago, up to 10,001. */
export function judgeFamilies(facts: TableFacts, overdue: number): Finding[] {
  const check = 'sessions'
  const { updates, hotUpdates, live, dead, bytes } = facts
  const share = updates > 0 ? Math.floor((100 * hotUpdates) / updates) : 100
  const hot = updates > 0 ? `, ${share} % of updates are HOT` : ''
  const findings = [fine(check, `${whole(live)} rows and ${whole(dead)} dead ones in ${size(bytes)}${hot}`)]
  if (updates >= 1000 && share < 90) {
    findings.push(
      unsure(
        check,
        `only ${share} % of updates are HOT: refreshes write to every index`,
        'drop indexes that were added on columns which a refresh changes, and run VACUUM FULL families in a quiet hour',
      ),
    )
  }
  if (dead > 1000 && dead > 2 * live) {
    findings.push(
      unsure(
        check,
        'most of the table is dead rows',
        'look for long transactions and for autovacuum being off, then VACUUM families',
      ),
    )
  }
  if (overdue > 0) {
    const amount = overdue > 10_000 ? 'more than 10,000' : whole(overdue)
    findings.push(
      unsure(
        check,
        `${amount} expired more than a day ago and are still here`,
        'a running server prunes by itself; or run claviger prune',
      ),
    )
  }
  return findings
}

/** Where tables lie that are spread over several machines. Of a database that is not, there is nothing to be said. */
export function judgePlaces(places: Awaited<ReturnType<typeof readPlaces>>): Finding[] {
  if (places?.families !== 'family') return []
  const check = 'cluster'
  const names = Object.keys(PLACEMENTS) as (keyof typeof PLACEMENTS)[]
  const astray = names.filter((table) => places[table] !== PLACEMENTS[table])
  if (astray.length === 0) return [fine(check, 'sessions are divided, and each table lies where it belongs')]
  return [
    unsure(
      check,
      `${astray.join(', ')}: not where it belongs, as after a foreign key that was added by hand. Statements on it are slow`,
      'claviger distribute',
    ),
  ]
}

function whole(number: number): string {
  return number.toLocaleString('en')
}

function size(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} kB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`
}
