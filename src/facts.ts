/** Where a request came from, as the audit trail and the session list keep it. */
export interface RequestFacts {
  requestId: string | null
  /** Client address after TRUSTED_PROXIES; null for the CLI. */
  address: string | null
  /** At most 256 characters. */
  userAgent: string | null
  /** `Accept-Language`, at most 500 characters. */
  acceptLanguage: string | null
}

/** For work that no request asked for: commands, and what the server does on schedule. */
export const NO_REQUEST: RequestFacts = { requestId: null, address: null, userAgent: null, acceptLanguage: null }
