import { type ProblemCode, problems } from '../../errors.ts'

/** A refusal as OAuth clients read it. */
interface OAuthError {
  status: number
  /** RFC 6749 §5.2 and §4.1.2.1, RFC 7009 §2.2.1, RFC 8707 §2. */
  error: string
  /** For the person who reads the reply, unless the refusal has a detail of its own. */
  description: string
}

/** Codes that mean something to OAuth clients, and what differs from our own endpoints where they are answered. */
const MEANT: Partial<Record<ProblemCode, Partial<Omit<OAuthError, 'error'>>>> = {
  invalid_request: {},
  // One answer for an unknown id, a wrong secret and a disabled client.
  invalid_client: { status: 401, description: 'The client could not be authenticated' },
  invalid_grant: { status: 400, description: 'The token is not valid, has been used or belongs to another client' },
  unauthorized_client: {},
  unsupported_grant_type: {},
  unsupported_token_type: {},
  invalid_scope: {},
  invalid_target: {},
  invalid_dpop_proof: {},
  use_dpop_nonce: {},
}

/** What a problem is to OAuth clients. The status stays unless OAuth has another for the error. */
export function oauthErrorOf(code: ProblemCode): OAuthError {
  const { status, title } = problems[code]
  const common = { status, description: title }
  const meant = MEANT[code]
  return meant ? { ...common, ...meant, error: code } : { ...common, error: byStatus(status) }
}

function byStatus(status: number): string {
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

/** The body of a refusal. RFC 6749 §5.2 allows printable ASCII in the description, without `"` and `\\`. */
export function oauthErrorBody({ code, detail }: { code: ProblemCode; detail?: string | undefined }) {
  const { error, description } = oauthErrorOf(code)
  const text = (detail ?? description).replace(/["\\’]/g, "'").replace(/[^\x20-\x7e]/g, '?')
  return { error, error_description: text }
}
