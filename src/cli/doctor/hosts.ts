import { splitHosts } from '../../config/database-target.ts'
import { connect } from '../../db/connect.ts'
import { isUnavailable } from '../../db/errors.ts'
import { type HostFacts, hostFacts } from '../../db/statistics.ts'
import { reasonOf } from '../../db/unreachable.ts'
import { bad, type Finding, fine, unsure } from './finding.ts'

const CHECK = 'database hosts'

/** What a failover would find at each of several hosts. Of a single one the other checks tell. */
export async function checkHosts(databaseUrl: string): Promise<Finding[]> {
  const { hosts } = splitHosts(databaseUrl)
  if (hosts.length === 1) return []
  const answers = await Promise.all(hosts.map(async ({ name, url }) => ({ name, answer: await ask(url) })))
  return judgeHosts(answers)
}

async function ask(url: string): Promise<HostFacts | Error> {
  const { db } = connect({
    url: url.replace(/target_session_attrs=[a-z-]+/, 'target_session_attrs=any'),
    size: 1,
    applicationName: 'claviger cli',
  })
  try {
    return await hostFacts(db)
  } catch (error) {
    return error as Error
  } finally {
    await db.destroy()
  }
}

export function judgeHosts(answers: readonly { name: string; answer: HostFacts | Error }[]): Finding[] {
  const findings = answers.map(({ name, answer }) => {
    if (answer instanceof Error) {
      const message = `${name}: ${reasonOf(answer)}`
      return isUnavailable(answer)
        ? unsure(CHECK, message, 'bring it back, or drop it from DATABASE_URL: a failover has one host less')
        : bad(CHECK, message, 'a failover to it would fail for the same reason')
    }
    if (answer.standby) return fine(CHECK, `${name} is a standby`)
    if (!answer.readOnly) return fine(CHECK, `${name} takes writes`)
    return unsure(CHECK, `${name} is read-only, and no standby`, 'look at default_transaction_read_only there')
  })
  const writable = answers.flatMap(({ answer }) =>
    answer instanceof Error || answer.standby || answer.readOnly ? [] : [answer.started],
  )
  if (new Set(writable).size > 1) {
    findings.push(
      bad(
        CHECK,
        'several servers take writes: some servers of Claviger may write to one, some to another',
        'stop all but the one that was promoted last: see “Failover” in docs/operations.md',
      ),
    )
  }
  return findings
}
