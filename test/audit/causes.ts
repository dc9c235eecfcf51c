import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { AuditEvent, TalliedEvent } from '../../src/audit/events.ts'
import { deriveServerKeys } from '../../src/config/secrets.ts'
import { advanceKeys } from '../../src/keys/keys.ts'
import { NotDelivered, Undeliverable } from '../../src/outbox/failure.ts'
import { serve } from '../../src/serve.ts'
import { invite } from '../../src/users/invite.ts'
import { run } from '../cli/support.ts'
import { authenticate, basic, JWT_BEARER, tokenFor } from '../oauth/authentication.ts'
import { newSigner, seconds } from '../oauth/signer.ts'
import { revoke } from '../oauth/support.ts'
import { enqueueNote, receiver } from '../outbox/support.ts'
import { keyHolder } from '../sessions/key-holder.ts'
import {
  bearer,
  family,
  granted,
  logout,
  ownOrigin,
  post,
  refresh,
  register,
  restore,
  type SignedIn,
  signIn,
  type User,
} from '../sessions/support.ts'
import {
  delivered,
  forgot,
  mailedReset,
  mailedVerification,
  registered,
  resend,
  reset,
  verify,
  wrongOf,
} from '../sign-in/mailbox.ts'
import { createTestApp, TEST_PASSWORD, type TestApp } from '../support/app.ts'
import { addPublicClient, addServiceClient } from '../support/clients.ts'
import { openMailboxes } from '../support/mailboxes.ts'
import { byOperator } from '../support/operation.ts'
import { haveFailedFrom } from '../support/sprays.ts'
import { ask, bearer as bearerOf, confirm, move, undo } from '../users/address.ts'

type KindOf<Event> = Event extends { type: infer Type extends string; outcome: infer Outcome extends string }
  ? Event extends { reason: infer Reason extends string }
    ? `${Type} ${Reason}`
    : `${Type} ${Outcome}`
  : never

/** An event with its reason, or with its outcome where it has none. */
export type Kind = KindOf<AuditEvent | TalliedEvent>

const WRONG = 'not the right phrase'
const NEW = 'five louder otters sing'

/** How each event comes about, whatever happened before. An event or a reason that nothing here causes does not compile. */
export const CAUSES: Record<Kind, (t: TestApp) => Promise<unknown>> = {
  'user.registered success': (t) => register(t),
  'user.registered email_taken': async (t) => t.register((await register(t)).email, TEST_PASSWORD),
  'user.created success': (t) => operate(t, 'users', 'create', newAddress(), '--no-password'),
  'user.imported success': (t) =>
    run(['users', 'import', '-'], { env: t.env, stdin: JSON.stringify({ email: newAddress() }) }),
  'user.exported success': (t) => operate(t, 'users', 'export', '-'),
  'user.disabled success': async (t) => operate(t, 'users', 'disable', (await register(t)).email),
  'user.enabled success': async (t) => {
    const { email } = await register(t)
    await operate(t, 'users', 'disable', email)
    await operate(t, 'users', 'enable', email)
  },
  'user.deleted success': async (t) => operate(t, 'users', 'delete', (await register(t)).email, '--yes'),
  'user.email_change_requested success': async (t) => ask(t, await session(t), newAddress()),
  'user.email_change_requested wrong_password': async (t) => ask(t, await session(t), newAddress(), WRONG),
  'user.email_change_requested backoff': async (t) => {
    const signedIn = await session(t)
    for (let i = 0; i < 6; i++) await ask(t, signedIn, newAddress(), WRONG)
  },
  'user.email_changed success': async (t) => operate(t, 'users', 'email', (await register(t)).email, newAddress()),
  'user.email_changed unknown_link': (t) => confirm(t, { token: 'no link of ours' }),
  'user.email_changed expired': async (t) => {
    const { token } = await askedFor(t)
    t.travel(3601)
    await confirm(t, { token })
  },
  'user.email_changed no_code': async (t) => confirm(t, { code: '12345678' }, bearerOf(await session(t))),
  'user.email_changed wrong_code': async (t) => {
    const { code, signedIn } = await askedFor(t)
    await confirm(t, { code: wrongOf(code) }, bearerOf(signedIn))
  },
  'user.email_changed user_disabled': async (t) => {
    const { token, signedIn } = await askedFor(t)
    await operate(t, 'users', 'disable', signedIn.email)
    await confirm(t, { token })
  },
  'user.email_change_undone success': takenBack,
  'user.email_change_undone unknown_link': (t) => undo(t, 'no link of ours'),
  'user.email_change_undone expired': async (t) => {
    const { wayBack } = await moved(t)
    t.travel(7 * 86_400 + 1)
    await undo(t, wayBack)
  },
  'user.roles_changed success': async (t) => operate(t, 'users', 'roles', (await register(t)).email, '--add', 'editor'),
  'user.claims_changed success': async (t) =>
    operate(t, 'users', 'claims', (await register(t)).email, '--set', '{"team":"blue"}'),

  'user.invited success': invited,
  'invitation.revoked success': async (t) => operate(t, 'users', 'invite', (await invited(t)).to, '--revoke'),
  'invitation.accepted success': async (t) => accept(t, { token: (await invited(t)).token }),
  'invitation.accepted unknown_link': (t) => accept(t, { token: 'no link of ours' }),
  'invitation.accepted expired': async (t) => {
    const { token } = await invited(t)
    t.travel(7 * 86_400 + 1)
    await accept(t, { token })
  },
  'invitation.accepted no_code': (t) => accept(t, { email: newAddress(), code: '12345678' }),
  'invitation.accepted wrong_code': async (t) => {
    const { to, code } = await invited(t)
    await accept(t, { email: to, code: wrongOf(code) })
  },
  'invitation.accepted used': async (t) => {
    const { token } = await invited(t)
    await overtaken(t, () => accept(t, { token }))
  },

  'login success': (t) => session(t),
  'login.new_device success': async (t) => {
    const user = await register(t)
    for (let time = 0; time < 2; time++) await signIn(t, user)
  },
  'login unknown_user': (t) => t.login({ email: newAddress(), password: WRONG }),
  'login wrong_password': async (t) => fail(t, (await register(t)).email),
  'login no_password': async (t) => {
    const email = newAddress()
    await operate(t, 'users', 'create', email, '--no-password')
    await fail(t, email)
  },
  'login user_disabled': async (t) => {
    const { email, password } = await register(t)
    await operate(t, 'users', 'disable', email)
    await t.login({ email, password })
  },
  'login email_unverified': async (t) => {
    await using strict = await createTestApp({ join: t, env: { EMAIL_VERIFICATION: 'required' } })
    const email = newAddress()
    await registered(strict, email, TEST_PASSWORD)
    await strict.login({ email, password: TEST_PASSWORD })
  },
  'login password_disabled': async (t) => {
    const { email, password } = await failedSoOften(t, 100)
    await t.login({ email, password })
  },
  'login backoff': async (t) => {
    const { email, password } = await failedSoOften(t, 4)
    await fail(t, email)
    await t.login({ email, password })
  },
  'login.backoff_started success': async (t) => fail(t, (await failedSoOften(t, 4)).email),
  'login.password_disabled success': async (t) => fail(t, (await failedSoOften(t, 99)).email),
  'login.spray_detected success': async (t) => {
    await haveFailedFrom(t.db, '127.0.0.0/24', t.deps.clock(), 50)
    await fail(t, newAddress())
  },

  'password.changed success': async (t) => changePassword(t, await session(t)),
  'password.changed wrong_password': async (t) => changePassword(t, await session(t), WRONG),
  'password.changed backoff': async (t) => {
    const signedIn = await session(t)
    for (let i = 0; i < 6; i++) await changePassword(t, signedIn, WRONG)
  },

  'password.reset_requested success': async (t) => mailedReset(t, (await register(t)).email),
  'password.reset_requested unknown_user': async (t) => askForReset(t, newAddress()),
  'password.reset_requested user_disabled': async (t) => {
    const { email } = await register(t)
    await operate(t, 'users', 'disable', email)
    await askForReset(t, email)
  },
  'password.reset_requested too_many_mails': async (t) => {
    const { email } = await register(t)
    for (let i = 0; i < 4; i++) await askForReset(t, email)
  },
  'password.reset success': async (t) => reset(t, await mailedReset(t, (await register(t)).email), NEW),
  'password.reset unknown_link': (t) => reset(t, { token: 'never mailed' }, NEW),
  'password.reset expired': async (t) => {
    const { token } = await mailedReset(t, (await register(t)).email)
    t.travel(1801)
    await reset(t, { token }, NEW)
  },
  'password.reset no_code': (t) => reset(t, { email: newAddress(), code: '12345678' }, NEW),
  'password.reset wrong_code': async (t) => {
    const { email } = await register(t)
    await reset(t, { email, code: wrongOf((await mailedReset(t, email)).code) }, NEW)
  },
  'password.reset used': async (t) => {
    const { token } = await mailedReset(t, (await register(t)).email)
    await overtaken(t, () => reset(t, { token }, NEW))
  },
  'password.reset user_disabled': async (t) => {
    const { email } = await register(t)
    const { token } = await mailedReset(t, email)
    await operate(t, 'users', 'disable', email)
    await reset(t, { token }, NEW)
  },
  'email.verification_sent success': async (t) => mailedVerification(t, (await register(t)).email),
  'email.verification_sent unknown_user': async (t) => askToVerify(t, newAddress()),
  'email.verification_sent user_disabled': async (t) => {
    const { email } = await register(t)
    await operate(t, 'users', 'disable', email)
    await askToVerify(t, email)
  },
  'email.verification_sent already_verified': async (t) => {
    const { email } = await register(t)
    await verify(t, await mailedVerification(t, email), TEST_PASSWORD)
    await askToVerify(t, email)
  },
  'email.verification_sent too_many_mails': async (t) => {
    const { email } = await register(t)
    for (let i = 0; i < 4; i++) await askToVerify(t, email)
  },
  'email.verified success': async (t) =>
    verify(t, await mailedVerification(t, (await register(t)).email), TEST_PASSWORD),
  'email.verified unknown_link': (t) => verify(t, { token: 'never mailed' }, NEW),
  'email.verified expired': async (t) => {
    const { token } = await mailedVerification(t, (await register(t)).email)
    t.travel(86_401)
    await verify(t, { token }, NEW)
  },
  'email.verified no_code': (t) => verify(t, { email: newAddress(), code: '12345678' }, NEW),
  'email.verified wrong_code': async (t) => {
    const { email } = await register(t)
    await verify(t, { email, code: wrongOf((await mailedVerification(t, email)).code) }, NEW)
  },
  'email.verified used': async (t) => {
    const { token } = await mailedVerification(t, (await register(t)).email)
    await overtaken(t, () => verify(t, { token }, NEW))
  },
  'email.verified user_disabled': async (t) => {
    const { email } = await register(t)
    const { token } = await mailedVerification(t, email)
    await operate(t, 'users', 'disable', email)
    await verify(t, { token }, NEW)
  },

  'session.ended logout': async (t) => logout(t, 'body', (await session(t)).token),
  'session.ended session_ended_by_user': async (t) => {
    const { accessToken, sid } = await session(t)
    await bearer(t, accessToken, `/sessions/${sid}`, 'DELETE')
  },
  'session.ended revoked_by_client': async (t) => revoke(t, { token: (await session(t)).token, client_id: 'native' }),
  'session.ended reuse_detected': replay,
  'session.ended password_changed': async (t) => {
    const user = await register(t)
    await signIn(t, user)
    await changePassword(t, await signIn(t, user))
  },
  'session.ended password_reset': async (t) => reset(t, await mailedReset(t, (await session(t)).email), NEW),
  'session.ended user_disabled': async (t) => operate(t, 'users', 'disable', (await session(t)).email),
  'session.ended user_deleted': async (t) => operate(t, 'users', 'delete', (await session(t)).email, '--yes'),
  'session.ended email_change_undone': takenBack,
  'session.ended replaced_by_login': async (t) => {
    const user = await register(t)
    const { token } = await signIn(t, user, 'cookie')
    await signIn(t, user, 'cookie', {}, { cookie: `__Host-refresh_token=${token}`, origin: ownOrigin(t) })
  },
  'session.ended too_many_sessions': async (t) => {
    await using strict = await createTestApp({ join: t, env: { SESSIONS_PER_USER: '1' } })
    const user = await register(strict)
    await signIn(strict, user)
    await signIn(strict, user)
  },
  'session.ended client_disabled': async (t) => {
    const { clientId } = await addPublicClient(t, { type: 'native' })
    await session(t, { client_id: clientId })
    await operate(t, 'clients', 'disable', clientId)
  },
  'session.ended operator': async (t) => operate(t, 'sessions', 'end', (await session(t)).sid),

  'refresh.refused wrong_client': async (t) =>
    refresh(t, 'body', (await session(t)).token, { body: { client_id: 'web' } }),
  'refresh.refused wrong_delivery': async (t) => refresh(t, 'cookie', (await session(t)).token),
  'refresh.refused user_disabled': async (t) => {
    const { token, id } = await session(t)
    // As somebody does who knows the table and not the command, which would have ended the session.
    await t.db.updateTable('users').set({ disabled_at: t.deps.clock() }).where('id', '=', id).execute()
    await refresh(t, 'body', token)
  },
  'refresh.refused ahead_of_database': async (t) => {
    await using distrusting = await createTestApp({ join: t, env: { REFRESH_ROLL_FORWARD: 'off' } })
    await refresh(distrusting, 'body', await forgotten(distrusting))
  },
  'refresh.dpop_refused no_proof': async (t) => refresh(t, 'body', (await boundSession(t)).token),
  'refresh.dpop_refused other_key': async (t) => {
    const { token } = await boundSession(t)
    await refresh(t, 'body', token, { headers: keyHolder(t).proof('/refresh') })
  },
  'refresh.key_mismatch no_key': async (t) => {
    const { token } = await session(t)
    granted(await refresh(t, 'body', token, { key: 'first-request' }))
    granted(await refresh(t, 'body', token))
  },
  'refresh.key_mismatch other_key': async (t) => {
    const { token } = await session(t)
    granted(await refresh(t, 'body', token, { key: 'first-request' }))
    granted(await refresh(t, 'body', token, { key: 'another-request' }))
  },
  'refresh.reuse_detected older_generation': replay,
  'refresh.reuse_detected late_retry': async (t) => refresh(t, 'body', await retriedLate(t)),
  'refresh.reuse_detected other_idempotency_key': async (t) =>
    refresh(t, 'body', await retriedLate(t, 'first-request'), { key: 'another-request' }),
  'refresh.retries_in_a_row success': async (t) => {
    let { token } = await session(t)
    for (let i = 0; i < 5; i++) {
      await refresh(t, 'body', token)
      token = granted(await refresh(t, 'body', token))
    }
  },
  'refresh.recovered_late success': async (t) => {
    await using recovering = await createTestApp({ join: t, env: { REFRESH_LATE_RETRY: 'recover' } })
    granted(await refresh(recovering, 'body', await retriedLate(recovering)))
  },
  'refresh.rolled_forward success': async (t) => refresh(t, 'body', await forgotten(t)),

  'delivery.dead undeliverable': async (t) => {
    await enqueueNote(t, 'refused')
    await t.deliver({ note: () => Promise.reject(new Undeliverable('refused')) })
  },
  'delivery.dead attempts_used_up': async (t) => {
    await enqueueNote(t, 'too late')
    await t.db.updateTable('outbox').set({ attempts: 24 }).execute()
    await t.deliver({ note: () => Promise.reject(new NotDelivered('busy')) })
  },
  'delivery.dead unreadable': async (t) => {
    await enqueueNote(t, 'sealed by somebody else')
    await t.db
      .updateTable('outbox')
      .set({ sealed_by: 'nobody', created_at: new Date(0) })
      .execute()
    await t.deliver(receiver().handlers)
  },
  'delivery.retried success': async (t) => {
    await enqueueNote(t, 'waits')
    await operate(t, 'outbox', 'retry', '--all')
    await t.deliver(receiver().handlers)
  },

  'client.authenticated success': async (t) => {
    const { clientId, secret } = await addServiceClient(t)
    await tokenFor(t, { clientId, secret })
  },
  'client.authenticated unknown_client': (t) => prove(t, 'cl_AAAAAAAAAAAAAAAAAAAAAA', WRONG),
  'client.authenticated wrong_secret': async (t) => prove(t, (await addServiceClient(t)).clientId, WRONG),
  'client.authenticated wrong_method': async (t) => {
    const { clientId } = await addServiceClient(t, {
      auth: { method: 'private_key_jwt', jwksUri: 'https://keys.example.com/' },
    })
    await prove(t, clientId, WRONG)
  },
  'client.authenticated wrong_assertion': async (t) => proveByJwt(t, { aud: 'https://other.example.com' }, 1),
  'client.authenticated replayed': async (t) => proveByJwt(t, {}, 2),
  'client.authenticated no_proof': (t) => prove(t),
  'client.authenticated backoff': async (t) => {
    const { clientId } = await addServiceClient(t)
    for (let i = 0; i < 6; i++) await prove(t, clientId, WRONG)
  },
  'client.created success': async (t) => void (await addServiceClient(t)),
  'client.enabled success': async (t) => {
    const { clientId } = await addServiceClient(t)
    await operate(t, 'clients', 'disable', clientId)
    await operate(t, 'clients', 'enable', clientId)
  },
  'client.disabled success': async (t) => operate(t, 'clients', 'disable', (await addServiceClient(t)).clientId),
  'client.secret_rotated success': async (t) =>
    operate(t, 'clients', 'rotate-secret', (await addServiceClient(t)).clientId),
  'client.removed success': async (t) => operate(t, 'clients', 'remove', (await addServiceClient(t)).clientId, '--yes'),

  'key.created success': rotatePlanned,
  'key.imported success': async (t) => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const stdin = privateKey.export({ format: 'pem', type: 'pkcs8' })
    await run(['keys', 'import', '-'], { env: t.env, stdin })
    await travelADay(t)
  },
  'key.activated success': rotatePlanned,
  'key.retired success': rotatePlanned,
  'key.removed success': async (t) => {
    await rotatePlanned(t)
    await travelADay(t)
  },
  'key.compromised success': (t) => operate(t, 'keys', 'rotate', '--compromised', '--yes'),
  'key.resealed success': async (t) => {
    const [present] = t.deps.serverKeys
    const other = deriveServerKeys(randomBytes(32))
    await advanceKeys({ ...t.deps, serverKeys: [other, present] })
    // And back: it is the secret of the other causes.
    await advanceKeys({ ...t.deps, serverKeys: [present, other] })
  },

  'server.started success': async (t) => {
    const server = await serve({ ...t.env, LOG_LEVEL: 'fatal', PORT: '0', METRICS_PORT: '0' })
    await server.stop()
  },
}

let addresses = 0
const newAddress = (): string => `cause-${++addresses}@example.com`

async function operate(t: TestApp, ...command: string[]): Promise<void> {
  const { code, err } = await run(command, { env: t.env })
  if (code !== 0) throw new Error(`${command.join(' ')}: ${err}`)
}

async function session(t: TestApp, body: Record<string, unknown> = {}): Promise<User & SignedIn> {
  const user = await register(t)
  return { ...user, ...(await signIn(t, user, 'body', body)) }
}

/** One that is bound to a key. */
async function boundSession(t: TestApp): Promise<SignedIn> {
  return await signIn(t, await register(t), 'body', {}, keyHolder(t).proof('/login'))
}

function fail(t: TestApp, email: string) {
  return t.login({ email, password: WRONG })
}

async function failedSoOften(t: TestApp, failures: number): Promise<User> {
  const user = await register(t)
  await fail(t, user.email)
  const counter = t.db.updateTable('login_failures').set({ failures, blocked_until: new Date(0) })
  await counter.where('user_id', '=', user.id).execute()
  return user
}

/** Sends a request twice: the second time after the link was found good at the first, and before it is used up. */
async function overtaken(t: TestApp, send: () => Promise<unknown>): Promise<void> {
  const { hash } = t.deps.hasher
  t.deps.hasher.hash = async (password) => {
    t.deps.hasher.hash = hash
    await send()
    return await hash(password)
  }
  await send()
}

async function askToVerify(t: TestApp, email: string): Promise<void> {
  await resend(t, email)
  await delivered(t)
}

async function askForReset(t: TestApp, email: string): Promise<void> {
  await forgot(t, email)
  await delivered(t)
}

function changePassword(t: TestApp, { accessToken }: { accessToken: string }, current_password = TEST_PASSWORD) {
  const headers = { authorization: `Bearer ${accessToken}` }
  return post(t, '/password', { body: { current_password, new_password: NEW }, headers })
}

/** Another address is asked for. @returns what its mailbox got. */
async function askedFor(t: TestApp) {
  const signedIn = await session(t)
  const wanted = newAddress()
  await ask(t, signedIn, wanted)
  const { token, code } = await openMailboxes(t).one(wanted, 'change-email')
  return { token, code, signedIn }
}

async function invited(t: TestApp) {
  const email = newAddress()
  // Not by the command, whose clock does not travel.
  await invite(t.deps, byOperator(t.deps), { email, roles: [], mail: 'en' })
  return await openMailboxes(t).one(email, 'invitation')
}

const accept = (t: TestApp, presented: object) =>
  post(t, '/invitations/accept', { body: { ...presented, password: NEW } })

async function moved(t: TestApp) {
  const signedIn = await session(t)
  const ways = { from: signedIn.email, to: newAddress() }
  return { wayBack: await move(t, openMailboxes(t), signedIn, ways) }
}

async function takenBack(t: TestApp): Promise<void> {
  await undo(t, (await moved(t)).wayBack)
}

async function replay(t: TestApp): Promise<void> {
  const { token } = await session(t)
  granted(await refresh(t, 'body', granted(await refresh(t, 'body', token))))
  await refresh(t, 'body', token)
}

/** @returns a token that has been replaced, and the grace is over. */
async function retriedLate(t: TestApp, key?: string): Promise<string> {
  const { token } = await session(t)
  granted(await refresh(t, 'body', token, key === undefined ? {} : { key }))
  t.travel(t.config.REFRESH_GRACE_SECONDS + 1)
  return token
}

/** @returns a token that the database no longer knows to have made. */
async function forgotten(t: TestApp): Promise<string> {
  const { token, sid } = await session(t)
  const copy = await family(t, sid)
  const successor = granted(await refresh(t, 'body', token))
  await restore(t, copy)
  return successor
}

/** From the announcement until the new key signs. */
async function rotatePlanned(t: TestApp): Promise<void> {
  await operate(t, 'keys', 'rotate')
  await travelADay(t)
}

/** What is due then is done: a key that was announced signs, and one that was retired is removed. */
async function travelADay(t: TestApp): Promise<void> {
  t.travel(86_460)
  await advanceKeys(t.deps)
}

/** So many times with the same JWT. */
async function proveByJwt(t: TestApp, change: JWTPayload, times: number): Promise<void> {
  const signer = newSigner()
  const { clientId } = await addServiceClient(t, { auth: { method: 'private_key_jwt', jwks: { keys: [signer.jwk] } } })
  const own = { iss: clientId, sub: clientId, aud: t.config.ISSUER, exp: seconds(t.deps.clock) + 60, jti: 'j' }
  const form = { client_assertion: await signer.sign({ ...own, ...change }), client_assertion_type: JWT_BEARER }
  for (let time = 0; time < times; time++) await authenticate(t, { form }).catch(() => {})
}

async function prove(t: TestApp, ...parts: [] | [clientId: string, secret: string]): Promise<void> {
  const [clientId, secret] = parts
  const authorization = clientId === undefined || secret === undefined ? undefined : basic(clientId, secret)
  await authenticate(t, { authorization }).catch(() => {})
}
