import type { Verdict } from './program.ts'

export interface Expectation {
  name: string
  /** Whether `@claviger/verifier` takes it. */
  accept: boolean
  /** The standards leave it open, so another verifier may judge otherwise. */
  optional?: boolean
}

interface Count {
  right: number
  of: number
}

export interface Judgement {
  accepted: Count
  refused: Count
  /** Where the standards leave it open: judged as `@claviger/verifier` does. */
  optional: Count
  /** Names of vectors that were judged wrongly, as is known of this program. */
  exceptions: string[]
  /** What nobody expected, in words. None: the program has passed. */
  surprises: string[]
}

/** Compares verdicts with expectations. `known` names the vectors that the program is known to judge wrongly. */
export function judge(expected: Expectation[], verdicts: Verdict[], known: Record<string, string>): Judgement {
  const count = (): Count => ({ right: 0, of: 0 })
  const judgement: Judgement = {
    accepted: count(),
    refused: count(),
    optional: count(),
    exceptions: [],
    surprises: [],
  }
  const { surprises } = judgement
  if (verdicts.length !== expected.length) surprises.push(`${verdicts.length} verdicts on ${expected.length} tokens`)
  for (const [index, { name, accept, optional }] of expected.entries()) {
    const kind = optional ? judgement.optional : accept ? judgement.accepted : judgement.refused
    kind.of++
    const verdict = verdicts[index]
    if (verdict?.name !== name || typeof verdict.accepted !== 'boolean') {
      surprises.push(`${name}: no verdict in its place`)
      continue
    }
    const right = verdict.accepted === accept
    if (right) kind.right++
    if (optional) continue
    if (!(name in known)) {
      if (!right) surprises.push(`${name}: ${accept ? `refused (${verdict.error || 'no reason given'})` : 'accepted'}`)
    } else if (right) surprises.push(`${name}: judged rightly now, so it is no exception any more`)
    else judgement.exceptions.push(name)
  }
  const judged = new Set(expected.filter(({ optional }) => !optional).map(({ name }) => name))
  for (const name of Object.keys(known)) {
    if (!judged.has(name)) surprises.push(`${name}: a known exception, but there is no such vector`)
  }
  return judgement
}
