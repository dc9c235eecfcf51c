/** What verifiers are told of. */
export type Revocation =
  /** All tokens of a session. */
  | { kind: 'session'; sid: string; userId: string }
  /** A user or a service client that may do nothing any more: tokens issued until then. */
  | { kind: 'subject'; sub: string }
  /** Tokens that a signing key has signed. */
  | { kind: 'key'; kid: string }
  /** Everybody's tokens issued until then. */
  | { kind: 'all' }
  /** A password that was changed. Ends nothing by itself. */
  | { kind: 'credential'; userId: string }
