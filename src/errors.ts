/**
 * Every error that a client may see, in one table (RFC 9457). The code is public and stable; the reason of a particular
 * refusal goes to the log and the audit trail, never into the reply.
 */
const PROBLEMS = {
  invalid_request: { status: 400, title: 'The request is malformed' },
  invalid_email: { status: 400, title: 'The e-mail address is not acceptable' },
  password_too_short: { status: 400, title: 'The password is too short' },
  password_too_long: { status: 400, title: 'The password is too long' },
  invalid_code: { status: 400, title: 'The link or the code is not valid, or not any more' },
  password_blocked: { status: 400, title: 'The password is too easy to guess' },
  invalid_client: { status: 400, title: 'No such client' },
  unauthorized_client: { status: 400, title: 'This client may not use this grant' },
  unsupported_grant_type: { status: 400, title: 'The grant type is not supported' },
  unsupported_token_type: { status: 400, title: 'Tokens of this kind cannot be revoked' },
  invalid_scope: { status: 400, title: 'The scope exceeds what may be granted' },
  invalid_target: { status: 400, title: 'The audience exceeds what may be granted' },
  invalid_dpop_proof: { status: 400, title: 'The DPoP proof is missing or not acceptable' },
  use_dpop_nonce: { status: 400, title: 'The DPoP proof needs the nonce of this answer' },
  invalid_credentials: { status: 401, title: 'The e-mail address or the password is wrong' },
  invalid_grant: { status: 401, title: 'Sign in again' },
  invalid_token: { status: 401, title: 'The access token is missing or not valid' },
  origin_not_allowed: { status: 403, title: 'This origin may not use the endpoint' },
  insufficient_scope: { status: 403, title: 'The access token lacks the scope that is needed' },
  email_unverified: { status: 403, title: 'The e-mail address has to be verified first' },
  registration_closed: { status: 403, title: 'Registration is closed' },
  tls_required: { status: 403, title: 'Use https' },
  not_found: { status: 404, title: 'Nothing is here' },
  method_not_allowed: { status: 405, title: 'The method is not supported here' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  email_taken: { status: 409, title: 'An account with this e-mail address exists' },
  payload_too_large: { status: 413, title: 'The request body is too large' },
  unsupported_media_type: { status: 415, title: 'Send application/json' },
  expectation_failed: { status: 417, title: 'The expectation cannot be met' },
  misdirected_request: { status: 421, title: 'This host is not served here' },
  too_many_requests: { status: 429, title: 'Too many requests' },
  headers_too_large: { status: 431, title: 'The request headers are too large' },
  internal: { status: 500, title: 'Something went wrong here' },
  token_too_large: { status: 500, title: 'The access token would be too large' },
  overloaded: { status: 503, title: 'Too busy to check a password now' },
  unavailable: { status: 503, title: 'A part this server depends on is not available' },
} as const satisfies Record<string, { status: number; title: string }>

/**
 * The `type` of a code's problem documents: our own, or the registered one where there is one
 * (draft-ietf-httpapi-ratelimit-headers-11 §5.1).
 */
export function typeOf(code: ProblemCode): string {
  if (code === 'too_many_requests') return 'https://iana.org/assignments/http-problem-types#quota-exceeded'
  return `urn:claviger:problem:${code}`
}

/** Stable machine-readable value of a problem document's `code`. */
export type ProblemCode = keyof typeof PROBLEMS

/** All codes with their HTTP status and title. */
export const problems: Readonly<Record<ProblemCode, { readonly status: number; readonly title: string }>> = PROBLEMS

/**
 * Why a request was refused, for the log. The list is closed, because searches and alerts depend on these words, and so
 * does the code that treats some reasons differently.
 */
export type Reason =
  // Sign-ins, as in the audit trail.
  | 'unknown_user'
  | 'wrong_password'
  | 'no_password'
  | 'user_disabled'
  | 'email_unverified'
  | 'password_disabled'
  | 'backoff'
  // Links and codes from mails, as in the audit trail.
  | 'unknown_link'
  | 'no_code'
  | 'wrong_code'
  | 'used'
  // Service clients, as in the audit trail.
  | 'unknown_client'
  | 'wrong_secret'
  | 'wrong_method'
  | 'no_proof'
  | 'wrong_assertion'
  | 'replayed'
  | 'sub'
  | 'jti'
  | 'keys of a client'
  | 'kid is not read yet'
  // Refreshes; those of authentic tokens as in the audit trail.
  | 'no_token'
  | 'not_ours'
  | 'unknown_family'
  | 'ended'
  | 'expired'
  | 'wrong_client'
  | 'wrong_delivery'
  | 'ahead_of_database'
  | 'older_generation'
  | 'late_retry'
  | 'other_idempotency_key'
  | 'client_gone'
  | 'secret_gone'
  | 'nothing is left of what was granted'
  // Proofs of possession: what is wrong with them, and those that a token is not bound to.
  | 'proof shape'
  | 'proof header'
  | 'proof key'
  | 'proof claims'
  | 'proof htm'
  | 'proof htu'
  | 'proof iat'
  | 'proof ath'
  | 'proof signature'
  | 'proof replayed'
  | 'other_key'
  | 'nonce'
  // Access tokens: what is wrong with them, or how many bytes one would have.
  | 'missing'
  | 'malformed'
  | 'shape'
  | 'header'
  | 'kid'
  | 'encoding'
  | 'signature'
  | 'claims'
  | 'iss'
  | 'exp'
  | 'iat'
  | 'nbf'
  | 'aud'
  | 'cnf'
  | 'session'
  | 'client'
  | 'another kind of caller'
  | `${number} bytes`
  // Limits, by name.
  | `${string}_per_${'minute' | 'hour'}`
  | 'family limit'
  | 'another attempt is under way'
  | 'overtaken'
  // The request, before its meaning matters.
  | 'the client went away'
  | 'an expectation other than 100-continue'
  | 'target authority differs from Host'
  | 'path is not plain'
  | 'Host is not in ALLOWED_HOSTS'
  | `${number} Host headers, or a malformed one`
  | 'the proxy says that the request came over plain http'
  | 'secret in the query string'
  | 'content encoding'
  | 'content type'
  | 'Origin is missing'
  | 'Origin is not allowed'
  | 'cross-site'
  | 'Sec-Fetch-Site disagrees'
  | 'plain http'
  | 'return_to is no origin of the client'
  | 'dpop_jkt is missing or malformed'
  | `FST_${string}`
  // What is not there, or has no room.
  | 'no signing key'
  | 'the feed has not been read yet'
  | 'too many streams'
  | 'stopping'
  | 'database'
  | 'schema'
  | 'conflict'
  | 'the account kept changing while its password was checked'
  | 'the queue for password hashes is full'
  | 'the process that hashes passwords ended'
  | 'too many wait'
  | 'too many wait for their turn'
  | 'too many wait to rotate'
  | 'waited too long'
  | 'waited too long for the family'
  | 'waited too long to rotate'

interface ProblemOptions {
  /** For the person who reads the reply. Never repeats what was sent. */
  detail?: string
  /** Seconds; sent as `Retry-After`. */
  retryAfter?: number
  /**
   * Only for the log, which has the detail if there is no reason; of the reasons of a 429, the reply names a limit of
   * the client's address.
   */
  reason?: Reason
  /**
   * Of whoever failed to prove what the header Authorization takes, as a client or as the owner of a bound token: the answer
   * is 401, with a challenge.
   */
  unproven?: true
  cause?: unknown
}

/** An error with an answer for the client. Anything else that is thrown becomes `internal`. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly status: number
  readonly title: string
  readonly detail: string | undefined
  readonly retryAfter: number | undefined
  readonly reason: Reason | undefined
  readonly unproven: boolean

  constructor(code: ProblemCode, options: ProblemOptions = {}) {
    super(options.reason ?? code, { cause: options.cause })
    this.name = 'Problem'
    this.code = code
    this.unproven = options.unproven === true
    this.status = this.unproven ? 401 : problems[code].status
    this.title = problems[code].title
    this.detail = options.detail
    this.retryAfter = options.retryAfter
    this.reason = options.reason
  }
}
