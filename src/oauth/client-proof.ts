import { Problem } from '../errors.ts'
import { readAssertion } from './assertion/assertion.ts'

/** What a request of a service client is authenticated by. */
export interface ClientRequest {
  /** The header Authorization, if one was sent. */
  authorization: string | undefined
  /** Of the form. Absent where they were empty. */
  form: {
    client_id?: string | undefined
    client_secret?: string | undefined
    client_assertion?: string | undefined
    client_assertion_type?: string | undefined
  }
}

/** Who a request says that it comes from, and what is to prove it. */
export type Proof =
  | { kind: 'secret'; by: 'header' | 'form'; clientId: string; secret: string }
  | { kind: 'assertion'; clientId: string; text: string }

/** RFC 7523 §2.2. */
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/**
 * Reads what is to prove the client (RFC 6749 §2.3).
 * @returns undefined if there is none, or it cannot be read.
 * @throws Problem `invalid_request` for two at a time, of which two readers might take different ones.
 */
export function readProof({ authorization, form }: ClientRequest): Proof | undefined {
  const sent = [authorization, form.client_secret, form.client_assertion].filter((part) => part !== undefined)
  if (sent.length > 1) throw new Problem('invalid_request', { detail: 'Authenticate the client in one way.' })
  if (form.client_secret !== undefined) {
    const { client_id: clientId, client_secret: secret } = form
    return clientId === undefined ? undefined : { kind: 'secret', by: 'form', clientId, secret }
  }
  if (form.client_assertion !== undefined || form.client_assertion_type !== undefined) return readJwt(form)
  const basic = authorization === undefined ? undefined : readBasic(authorization)
  if (basic && form.client_id !== undefined && form.client_id !== basic.clientId)
    throw new Problem('invalid_request', { detail: 'client_id differs from the header Authorization.' })
  return basic
}

/**
 * A JWT that the client has signed itself says whose it is (RFC 7521 §4.2). That of a workload does not: beside it the id is
 * needed.
 */
function readJwt({
  client_id: clientId,
  client_assertion: text,
  client_assertion_type: type,
}: ClientRequest['form']): Proof | undefined {
  if (text === undefined || type !== JWT_BEARER)
    throw new Problem('invalid_request', { detail: `client_assertion goes with client_assertion_type=${JWT_BEARER}.` })
  const named = clientId ?? readAssertion(text)?.claims.sub
  return typeof named === 'string' ? { kind: 'assertion', clientId: named, text } : undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** HTTP Basic with both parts encoded as in forms (RFC 6749 §2.3.1). Ours need no encoding. */
function readBasic(authorization: string): Proof | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(authorization)?.[1]
  if (encoded === undefined) return undefined
  try {
    const text = utf8.decode(Buffer.from(encoded, 'base64'))
    const [name = '', ...rest] = text.split(':')
    const [clientId = '', secret = ''] = [name, rest.join(':')].map(decode)
    return clientId === '' || rest.length === 0 ? undefined : { kind: 'secret', by: 'header', clientId, secret }
  } catch {
    return undefined
  }
}

/** @throws for escapes that are cut off or no UTF-8. */
function decode(part: string): string {
  return decodeURIComponent(part.replace(/\+/g, ' '))
}
