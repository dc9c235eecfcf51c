import { CODE_REASONS, type Entry, EXPORTED, INVITED, LINK_REASONS, NOT_PROVED } from './forms.ts'

/** The events of accounts and invitations, a part of CATALOGUE. */
export const ACCOUNTS = {
  'user.registered': {
    meaning: 'somebody registered',
    success: {},
    failure: { tallied: true, reasons: { email_taken: 'the address has an account' } },
  },
  'user.created': { meaning: 'an operator made an account', success: {} },
  'user.imported': {
    meaning: 'an operator made the accounts of another system',
    success: { details: { accounts: { kind: 'number', meaning: 'how many' } } },
  },
  'user.exported': { meaning: 'an operator began to write all accounts into a file', success: EXPORTED },
  'user.disabled': { meaning: 'an operator disabled an account', success: {} },
  'user.enabled': {
    meaning: 'an operator enabled an account, or its password again after too many failures',
    success: {},
  },
  'user.deleted': { meaning: 'an operator deleted an account', success: {} },
  'user.email_change_requested': {
    meaning: 'a user asked for another address, or tried to; neither is kept here',
    success: {},
    failure: NOT_PROVED,
  },
  'user.email_changed': {
    meaning: 'a user confirmed another address, or tried to, or an operator changed it; neither is kept here',
    success: {},
    failure: { tallied: true, reasons: CODE_REASONS },
  },
  'user.email_change_undone': {
    meaning: 'somebody who reads the mailbox of the former address took a change back, or tried to',
    success: {},
    failure: { tallied: true, reasons: LINK_REASONS },
  },
  'user.roles_changed': {
    meaning: 'an operator replaced the roles of an account, or an invitation brought others',
    success: {
      details: {
        before: { kind: 'names', meaning: 'the roles it had' },
        after: { kind: 'names', meaning: 'the roles it has' },
      },
    },
  },
  'user.claims_changed': {
    meaning: 'an operator replaced the custom claims of an account',
    success: {
      details: {
        // Only names: values may be personal, and the trail outlives the account.
        before: { kind: 'names', meaning: 'the names of those it had' },
        after: { kind: 'names', meaning: 'the names of those it has' },
      },
    },
  },
  'user.invited': {
    meaning: 'an operator invited somebody to have an account; the address is not kept here',
    success: { details: { roles: { kind: 'names', meaning: 'the roles that it brings' } } },
  },
  'invitation.revoked': { meaning: 'an operator took an invitation back', success: {} },
  'invitation.accepted': {
    meaning: 'somebody who was invited made the account, or tried to',
    success: {},
    failure: INVITED,
  },
} as const satisfies Readonly<Record<string, Entry>>
