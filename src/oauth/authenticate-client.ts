import type { ClientRefusal } from '../audit/events.ts'
import type { Tally } from '../audit/tally.ts'
import { isClientId } from '../clients/identifiers.ts'
import { matchSecret } from '../clients/secrets.ts'
import { findServiceClient, noteSecretUsed, type ServiceClient } from '../clients/service.ts'
import type { Config } from '../config/config.ts'
import type { KeyList } from '../config/secrets.ts'
import type { Db } from '../db/schema.ts'
import { Problem, type Reason } from '../errors.ts'
import type { Metrics } from '../metrics.ts'
import type { Operation } from '../operation.ts'
import { createSemaphore, type Semaphore } from '../semaphore.ts'
import { type AssertionDeps, faultOfAssertion } from './assertion/judge.ts'
import { KeysUnknown } from './assertion/published-keys.ts'
import { type Counted, createBackOff } from './back-off.ts'
import { type ClientRequest, type Proof, readProof } from './client-proof.ts'

/**
 * Bounds the look-ups of service clients, and of whoever claims to be one. Services may ask at every request of theirs, without a
 * limit, and strangers until they have failed. So they have permits of their own, which leaves connections to people, and take
 * turns by the network that they call from: however many requests one of them has in flight, services elsewhere are answered. The
 * queue has room for the thousand of a busy service beside those of strangers.
 */
export const SERVICES = { permits: 4, queue: 4096, patienceMs: 2000 }

/** The same for sites that state their visitors' addresses. They call for people, who do not wait for services. */
export const SITES = { ...SERVICES, permits: 2 }

/**
 * Bounds what failures write: strangers in many networks, each within its limit, wait for each other and leave connections to
 * everybody else. Nobody is refused here, because the failure would not count.
 */
const FAILURES = { permits: 2, queue: Number.POSITIVE_INFINITY }

export interface PresentedClient extends ClientRequest {
  /** Of the caller: an IPv4 address, or a /64. */
  network: string
  /** Spends one of the failures that the caller's address may have. @throws Problem `too_many_requests`. */
  spendFailure(): Promise<void>
  /** Lasts as long as the pace of refusals wants it. */
  turnAway(): Promise<void>
}

/**
 * Finds out which service client sends a request (RFC 6749 §2.3).
 * @throws Problem `invalid_client`, the same for every cause and after the same work; `too_many_requests` after failures;
 * `invalid_request` for two proofs at a time; `unavailable` where the client's keys cannot be read.
 */
export type AuthenticateClient = (operation: Operation, presented: PresentedClient) => Promise<ServiceClient>

type AuthenticationDeps = AssertionDeps & {
  db: Db
  config: Config
  serverKeys: KeyList
  metrics: Metrics
  tally: Tally
}

export function createClientAuthentication(
  deps: AuthenticationDeps,
  semaphore: Pick<Semaphore, 'run' | 'isFull'>,
): AuthenticateClient {
  const backOff = createBackOff(deps)
  const failures = createSemaphore(FAILURES)

  const attempt = async (now: Date, proof: Proof, network: string): Promise<Outcome> => {
    const { standing, client, counted } = await semaphore.run(async () => {
      const found = await findServiceClient(deps, now, proof.clientId)
      const counts: Counted = { clientId: proof.clientId, network, changedAt: found?.changedAt }
      return { standing: await backOff.look(now, counts), client: found, counted: counts }
    }, network)
    if (standing.kind === 'held_off') return standing
    // Not among those who wait for the database: keys may have to be fetched.
    const outcome =
      proof.kind === 'secret'
        ? await judgeSecret(deps, now, client, proof)
        : await judgeAssertion(deps, now, client, proof)
    if (outcome.kind === 'refused') return { ...outcome, counted }
    if (standing.kind === 'failed') await backOff.forget(counted)
    return outcome
  }

  const note = async (operation: Operation, reason: ClientRefusal, clientId: string | null): Promise<void> => {
    deps.metrics.clientAuthentications.inc({ outcome: reason === 'backoff' ? 'held_off' : 'refused' })
    const event = { type: 'client.authenticated', outcome: 'failure', reason, clientId } as const
    await failures.run(() => deps.tally.add(operation, event))
  }

  return async (operation, presented) => {
    const proof = readProof(presented)
    if (!proof) {
      await presented.spendFailure()
      await note(operation, 'no_proof', null)
      throw new Problem('invalid_client', { reason: 'no_proof' })
    }
    const { clientId } = proof
    // Refused as fast as it asks, whoever asks again at once would keep the process busy with saying no.
    if (semaphore.isFull(presented.network)) await presented.turnAway()
    const outcome = await attempt(operation.now, proof, presented.network).catch(async (error: unknown) => {
      // No failure of the client. Of the address it is one: whoever knows the id of a client can order it.
      if (error instanceof KeysUnknown) await presented.spendFailure()
      throw error
    })
    switch (outcome.kind) {
      case 'authenticated':
        deps.metrics.clientAuthentications.inc({ outcome: 'success' })
        return outcome.client
      case 'held_off': {
        // Costs as much as a failure: the trail has a row for each address, and a /64 has more of them than any disk has room.
        await presented.spendFailure()
        deps.metrics.throttled.inc({ policy: 'client' })
        await note(operation, 'backoff', isClientId(clientId) ? clientId : null)
        throw new Problem('too_many_requests', { reason: 'backoff', retryAfter: outcome.retryAfter })
      }
      case 'refused': {
        // First that of the address, so that nobody fills the table with ids that there are not.
        await presented.spendFailure()
        await failures.run(() => backOff.count(operation.now, outcome.counted))
        // An id that is not of our making may be anything, a secret in the wrong place too.
        await note(operation, outcome.reason, outcome.reason === 'unknown_client' ? null : clientId)
        throw new Problem('invalid_client', { reason: outcome.detail ?? outcome.reason })
      }
    }
  }
}

type Outcome = Authenticated | (Refused & { counted: Counted }) | { kind: 'held_off'; retryAfter: number }

type Judged = Authenticated | Refused

type Authenticated = { kind: 'authenticated'; client: ServiceClient }
type Refused = { kind: 'refused'; reason: Exclude<ClientRefusal, 'backoff' | 'no_proof'>; detail?: Reason | undefined }

async function judgeSecret(
  deps: AuthenticationDeps,
  now: Date,
  client: ServiceClient | undefined,
  { secret, by }: Extract<Proof, { kind: 'secret' }>,
): Promise<Judged> {
  // The same work for a client that there is not.
  const found = matchSecret(client?.secrets ?? [], secret)
  if (!client) return { kind: 'refused', reason: 'unknown_client' }
  if (!takesSecret(client, by)) return { kind: 'refused', reason: 'wrong_method' }
  if (!found) return { kind: 'refused', reason: 'wrong_secret' }
  await noteSecretUsed(deps, now, found)
  return { kind: 'authenticated', client }
}

async function judgeAssertion(
  deps: AuthenticationDeps,
  now: Date,
  client: ServiceClient | undefined,
  { text }: Extract<Proof, { kind: 'assertion' }>,
): Promise<Judged> {
  if (!client) return { kind: 'refused', reason: 'unknown_client' }
  const fault = await faultOfAssertion(deps, now, client, text)
  return fault ? { kind: 'refused', ...fault } : { kind: 'authenticated', client }
}

/** The header is for whoever has a secret (RFC 6749 §2.3.1). A secret in the form ends up in more logs, so it takes a registration. */
function takesSecret({ auth }: ServiceClient, by: 'header' | 'form'): boolean {
  return auth.method === 'client_secret_post' || (auth.method === 'client_secret_basic' && by === 'header')
}
