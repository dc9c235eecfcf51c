import { ACCOUNTS } from './accounts.ts'
import {
  CLIENT_NOT_PROVED,
  DELIVERY,
  END_CAUSES,
  type Entry,
  FROM_MAILBOX,
  GENERATIONS,
  IDENTIFIER,
  KEY,
  NOT_PROVED,
} from './forms.ts'

/**
 * Every event of the audit trail. The types in events.ts are derived from it, and a test holds the tables in
 * docs/operations.md to it. A successful refresh is not an event but a log line and a counter, so that the table does
 * not grow with refreshes.
 */
export const CATALOGUE = {
  ...ACCOUNTS,
  login: {
    meaning: 'somebody signed in, or tried to',
    success: {},
    failure: {
      tallied: true,
      reasons: {
        unknown_user: 'no account has the address',
        wrong_password: 'the password is wrong',
        no_password: 'the account has no password',
        user_disabled: 'the password is right, but the account is disabled',
        email_unverified: 'the password is right, but the address has to be verified first',
        password_disabled:
          'the password is refused since the 100th failure running, or since a change of address was taken back',
        backoff: 'too soon after failures; the password was not looked at',
      },
      details: {
        identifier: IDENTIFIER,
        failures: {
          kind: 'number',
          optional: true,
          meaning: 'how many running, of the account or of its known device, but not with `backoff`',
        },
      },
    },
  },
  'login.backoff_started': {
    meaning: 'the 5th failure running: further attempts have to wait',
    success: { details: { identifier: IDENTIFIER, failures: { kind: 'number', meaning: '5' } } },
  },
  'login.new_device': {
    meaning: 'somebody signed in on a device that was not known, and the owner was told by mail',
    success: {},
  },
  'login.password_disabled': {
    meaning: 'the 100th failure running: the password is refused until it is reset by mail or an operator enables it',
    success: {
      details: {
        identifier: IDENTIFIER,
        failures: { kind: 'number', meaning: '100, or a few more if several came at once' },
      },
    },
  },
  'login.spray_detected': {
    meaning: 'too many accounts failed from the network of this address: its budget of sign-ins is a tenth for an hour',
    success: { details: { accounts: { kind: 'number', meaning: 'how many within ten minutes' } } },
  },
  'password.changed': {
    meaning: 'a user or an operator changed a password, or a user tried to',
    success: {},
    failure: NOT_PROVED,
  },
  'password.reset_requested': {
    meaning: 'somebody asked to reset the password of an account, and its address gets a mail',
    success: {},
    failure: {
      tallied: true,
      reasons: {
        unknown_user: 'no account has the address',
        user_disabled: 'the account is disabled',
        too_many_mails: 'the address has had as many mails as it may',
      },
      details: { identifier: IDENTIFIER },
    },
  },
  'password.reset': {
    meaning: 'somebody set another password with what was mailed to the address, or tried to',
    success: {},
    failure: FROM_MAILBOX,
  },
  'email.verification_sent': {
    meaning: 'the address of an account gets a mail to verify it, or somebody asked for one',
    success: {},
    failure: {
      tallied: true,
      reasons: {
        unknown_user: 'no account has the address',
        user_disabled: 'the account is disabled',
        already_verified: 'it has been verified',
        too_many_mails: 'the address has had as many mails as it may',
      },
      details: { identifier: IDENTIFIER },
    },
  },
  'email.verified': {
    meaning: 'somebody who reads the mailbox of an account proved it, or tried to',
    success: {},
    failure: FROM_MAILBOX,
  },
  'session.ended': { meaning: 'a session ended otherwise than by its age', success: { reasons: END_CAUSES } },
  'refresh.refused': {
    meaning: 'a genuine refresh token was refused, and its session goes on',
    failure: {
      tallied: true,
      reasons: {
        wrong_client: 'the request names a client other than the one that the token was issued to',
        wrong_delivery: 'a token of the cookie came in a body, or the reverse',
        user_disabled: 'the account is disabled',
        ahead_of_database: 'the database has forgotten making it, as after a restore',
      },
    },
  },
  'refresh.dpop_refused': {
    meaning:
      'a genuine refresh token that is bound to a key came without a proof of that key: somebody has a copy of the token alone. Its session goes on',
    failure: {
      tallied: true,
      reasons: { no_proof: 'the request had no proof', other_key: 'the proof was of another key' },
    },
  },
  'refresh.key_mismatch': {
    meaning:
      'a refresh was repeated within the grace without the `Idempotency-Key` of the first time: somebody else may hold the token',
    success: {
      tallied: true,
      reasons: { no_key: 'the repetition had no key', other_key: 'it had another key' },
    },
  },
  'refresh.reuse_detected': {
    meaning: 'a refresh token that had been replaced was presented again: somebody has a copy, and its session ends',
    failure: {
      reasons: {
        older_generation: 'its successor has been used',
        late_retry: 'its successor has not been used, but the grace was over',
        other_idempotency_key: 'the grace was over, and the two requests did not carry the same `Idempotency-Key`',
      },
      details: GENERATIONS,
    },
  },
  'refresh.retries_in_a_row': {
    meaning: 'five rotations running were retried: replies are lost, or two parties take turns with the token',
    success: { details: { rotations: { kind: 'number', meaning: 'rotations running, each with a retry' } } },
  },
  'refresh.recovered_late': {
    meaning: 'a retry after the grace was answered, as `REFRESH_LATE_RETRY=recover` has it',
    success: { details: { seconds_late: { kind: 'number', meaning: 'seconds after the grace' } } },
  },
  'refresh.rolled_forward': {
    meaning: 'a token that the database has forgotten making was accepted, as `REFRESH_ROLL_FORWARD=on` has it',
    success: { details: GENERATIONS },
  },
  'delivery.dead': {
    meaning: 'something that was to be delivered, such as a mail, was given up',
    failure: {
      reasons: {
        undeliverable: 'it was refused for good, or is of no use any more',
        attempts_used_up: 'it was tried for days',
        unreadable: 'no entry of `CLAVIGER_SECRET` opens it',
      },
      details: {
        ...DELIVERY,
        attempts: { kind: 'number', meaning: 'how often it was tried' },
      },
    },
  },
  'delivery.retried': {
    meaning: 'an operator had deliveries tried again',
    success: {
      details: {
        deliveries: { kind: 'number', meaning: 'how many' },
        delivery: { kind: 'text', optional: true, meaning: 'the id, if it was one by name' },
      },
    },
  },
  'client.created': {
    meaning: 'an operator registered a client',
    success: { details: { type: { kind: 'text', meaning: '`browser`, `native` or `service`' } } },
  },
  'client.enabled': { meaning: 'an operator enabled a client again', success: {} },
  'client.disabled': { meaning: 'an operator disabled a client', success: {} },
  'client.secret_rotated': {
    meaning: 'an operator gave a service another secret, or ended older ones',
    success: { details: { secrets: { kind: 'number', meaning: 'how many count from then on' } } },
  },
  'client.removed': { meaning: 'an operator removed a client for good', success: {} },
  'client.authenticated': {
    meaning: 'a service got an access token, or somebody failed to prove that a service sent a request',
    success: { tallied: true },
    failure: CLIENT_NOT_PROVED,
  },
  'key.created': { meaning: 'a signing key was made', success: KEY },
  'key.imported': { meaning: 'an operator took in a signing key', success: KEY },
  'key.activated': { meaning: 'a key began to sign', success: KEY },
  'key.retired': { meaning: 'a key stopped signing and is still published', success: KEY },
  'key.removed': { meaning: 'a key was taken out of the key set', success: KEY },
  'key.compromised': { meaning: 'a key was declared compromised', success: KEY },
  'key.resealed': { meaning: 'a key was sealed anew under the newest `CLAVIGER_SECRET`', success: KEY },
  'server.started': {
    meaning: 'a server started',
    success: { details: { settings: { kind: 'settings', meaning: 'its settings, without secrets' } } },
  },
} as const satisfies Readonly<Record<string, Entry>>
