/** A part of a client that is not acceptable. */
export interface Fault {
  about:
    | 'name'
    | 'type'
    | 'scopes'
    | 'audiences'
    | 'origins'
    | 'auth'
    | 'statesVisitorAddress'
    | 'jwks'
    | 'jwksUri'
    | 'issuer'
    | 'subject'
    | 'claims'
    | 'workloadJwksUri'
    | 'sessionIdleSeconds'
    | 'sessionMaxSeconds'
    | 'rememberIdleSeconds'
    | 'rememberMaxSeconds'
    | 'accessTokenSeconds'
    | 'dpop'
  message: string
}

/** Why something is not done to a client, in words for the operator. Nothing has been changed. */
export class ClientRefused extends Error {
  override name = 'ClientRefused'
  readonly kind: 'invalid' | 'conflict' | 'not_found'
  /** Every one of them, if it is `invalid`. */
  readonly faults: readonly Fault[]

  constructor(kind: ClientRefused['kind'], what: string | readonly Fault[]) {
    super(typeof what === 'string' ? what : what.map(({ about, message }) => `${about} ${message}`).join('; '))
    this.kind = kind
    this.faults = typeof what === 'string' ? [] : what
  }
}
