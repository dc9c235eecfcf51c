import type { Config } from '../../config/config.ts'
import { isLoopback } from '../../config/networks.ts'
import { AUTHORIZATION_SERVER, KEY_SET } from '../../oauth/metadata.ts'
import { type Finding, fine, unsure } from './finding.ts'

const ANSWERS_WITHIN_MS = 2000
const check = 'issuer'
const remedy =
  'set ISSUER to the address at which browsers and services reach this server, with the port that is published'

/** What answered at an address. */
type Answer = { json: unknown; status: number } | { unreachable: string }

/**
 * Checks, as far as possible from here, whether ISSUER leads to this server: every token names it as the address where
 * verifiers find the keys. A name may resolve differently here than for browsers, so the findings are never failures.
 * @param kids of the keys in the database; undefined if it could not be asked.
 */
export async function checkIssuer(
  config: Pick<Config, 'ISSUER' | 'HOST' | 'PORT'>,
  kids: readonly string[] | undefined,
): Promise<Finding> {
  const metadata = await ask(config.ISSUER + AUTHORIZATION_SERVER)
  if ('unreachable' in metadata) return await judgeSilence(config, metadata.unreachable)
  const stated = member(metadata.json, 'issuer')
  if (typeof stated !== 'string') {
    return unsure(check, `what answers at ISSUER is no auth server (status ${metadata.status})`, remedy)
  }
  if (stated !== config.ISSUER) return unsure(check, 'what answers at ISSUER has another issuer', remedy)

  const published = await ask(config.ISSUER + KEY_SET)
  const keys = 'json' in published ? member(published.json, 'keys') : undefined
  if (!Array.isArray(keys) || kids === undefined) return fine(check, `${config.ISSUER} answers, with this issuer`)
  if (!keys.some((key) => kids.includes(String(member(key, 'kid'))))) {
    return unsure(check, 'what answers at ISSUER is another server: none of its keys is in this database', remedy)
  }
  return fine(check, `${config.ISSUER} leads to this server`)
}

/** In a container, a loopback ISSUER means the machine around it, so only the listener can be checked here. */
async function judgeSilence(
  { ISSUER, HOST, PORT }: Pick<Config, 'ISSUER' | 'HOST' | 'PORT'>,
  why: string,
): Promise<Finding> {
  const everywhere = HOST === '0.0.0.0' || HOST === '::'
  const host = everywhere ? '127.0.0.1' : HOST.includes(':') ? `[${HOST}]` : HOST
  const local = PORT === 0 ? undefined : await ask(`http://${host}:${PORT}/livez`)
  const runs = local !== undefined && 'json' in local && member(local.json, 'status') === 'ok'
  if (!runs) return fine(check, 'not checked: the server does not run here')
  if (isLoopback(new URL(ISSUER).hostname) && everywhere) {
    return fine(
      check,
      `${ISSUER} is seen from outside this machine or container only; it must lead to port ${PORT} here`,
    )
  }
  return unsure(check, `nothing answers at ISSUER (${why}), while this server listens on port ${PORT}`, remedy)
}

async function ask(url: string): Promise<Answer> {
  try {
    const answer = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) })
    return { status: answer.status, json: await answer.json().catch(() => undefined) }
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { code?: unknown }
    return { unreachable: typeof code === 'string' ? code : (error as Error).name }
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}
