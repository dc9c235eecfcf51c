/** The bytes of base64url in the one spelling that they have (RFC 4648 §3.5); undefined for any other text. */
export function bytesOf(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
