import { Type } from 'typebox'
import { documentEndpoint } from '../http/replies/documents.ts'
import type { Endpoint } from '../http/requests/endpoint.ts'
import type { Keyring } from './keyring.ts'

const KeySet = Type.Object({
  keys: Type.Array(
    Type.Object({
      kty: Type.Literal('RSA'),
      use: Type.Literal('sig'),
      alg: Type.Literal('RS256'),
      kid: Type.String({ description: 'RFC 7638 thumbprint' }),
      n: Type.String(),
      e: Type.String(),
    }),
  ),
})

/** The public keys, from memory: they are served while the database is down. */
export function keySet(keyring: Keyring): Endpoint {
  const summary = 'Public keys that verify access tokens'
  return documentEndpoint({ summary, type: 'application/jwk-set+json', schema: KeySet }, keyring.jwks)
}
