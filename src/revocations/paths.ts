export const REVOCATIONS = '/.well-known/revocations'
export const REVOCATION_STREAM = `${REVOCATIONS}/stream`
export const RECEIPTS = `${REVOCATIONS}/receipts`

/**
 * The audience of tokens that services follow the feed with, and report (RFC 8707): the feed itself. Not the issuer, which is the
 * usual audience of everybody's tokens: whoever is sent one of those could report in the name of its owner.
 */
export function audienceOfFeed(issuer: string): string {
  return issuer + REVOCATIONS
}
