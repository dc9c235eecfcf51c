import { base64url } from 'jose'

interface Builtin {
  createHash(name: 'sha256'): { update(text: string): { digest(encoding: 'base64url'): string } }
}
const { process } = globalThis as { process?: { getBuiltinModule?: (name: 'node:crypto') => Builtin | undefined } }
const node = process?.getBuiltinModule?.('node:crypto')

const encoder = new TextEncoder()

/**
 * Node, Deno and Bun have it without a promise and a thread, at a thirtieth of what WebCrypto spends on a token. Where there is
 * nothing but WebCrypto, it will do.
 * @returns SHA-256 of the text in UTF-8, in base64url.
 */
export const sha256: (text: string) => string | Promise<string> = node
  ? (text) => node.createHash('sha256').update(text).digest('base64url')
  : bySubtle

export async function bySubtle(text: string): Promise<string> {
  return base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(text))))
}
