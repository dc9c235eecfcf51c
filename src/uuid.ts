/** Whether PostgreSQL would take a text for a UUID written as RFC 9562 has it; any other one it answers with an error. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}
