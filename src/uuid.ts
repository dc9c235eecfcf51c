/** Whether a text is a UUID as RFC 9562 writes it. PostgreSQL answers others with an error, so they must not reach it. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}
