import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'

/** Of a client that binds its sessions to a key (RFC 9449): the private key (PEM), and the thumbprint that a family has of it. */
export function makeProofKey(): { key: string; jkt: string } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ format: 'pem', type: 'pkcs8' })
  return {
    key,
    jkt: createHash('sha256')
      .update(JSON.stringify(publicHalf(privateKey)))
      .digest('base64url'),
  }
}

/** The required members in the order of their names (RFC 7638 §3.2). */
function publicHalf(privateKey: KeyObject) {
  const { crv, kty, x, y } = createPublicKey(privateKey).export({ format: 'jwk' })
  return { crv, kty, x, y }
}

/**
 * The header of a refresh with a proof. A proof serves for a second, because what the driver signs takes the processor from what is
 * measured; the server, which at a refresh remembers none, judges each as if it were the first.
 */
export function proving(url: string, key: string): () => string {
  const privateKey = createPrivateKey(key)
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url')
  const header = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicHalf(privateKey) })
  let second = 0
  let line = ''
  return () => {
    const iat = Math.floor(Date.now() / 1000)
    if (iat === second) return line
    second = iat
    const input = `${header}.${encode({ jti: randomUUID(), htm: 'POST', htu: url, iat })}`
    const signature = sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' })
    line = `dpop: ${input}.${signature.toString('base64url')}\r\n`
    return line
  }
}
