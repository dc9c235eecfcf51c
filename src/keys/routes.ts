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
      kid: Type.String({ description: 'RFC 7638 thumbprint', examples: ['k7Qh0a…'] }),
      n: Type.String({ examples: ['sXchDa…'] }),
      e: Type.String({ examples: ['AQAB'] }),
    }),
  ),
})

/** The public keys. They come from memory, so that they are served even while the database is down. */
export function keySet(keyring: Keyring): Endpoint {
  const words = {
    summary: 'Public keys',
    description:
      'A JWK Set (RFC 7517). Cache it for `max-age`; a `kid` that is not in it is worth one more fetch. Served from memory, also while the database is down.',
    holds: 'The keys that sign, will sign, or signed tokens that still live',
  }
  return documentEndpoint({ ...words, type: 'application/jwk-set+json', schema: KeySet }, keyring.jwks)
}
