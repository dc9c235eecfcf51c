import { hmac, type KeyList, type ServerKeys } from '../config/secrets.ts'
import { openBytes, sealBytes } from '../sealing.ts'

/** Of a delivery: what its payload is sealed for. */
interface Label {
  id: string
  kind: string
}

export interface SealedPayload {
  sealed: Buffer
  /** Fingerprint of the CLAVIGER_SECRET under which it was sealed. */
  sealedBy: string
}

/** Each delivery has a key of its own: however many there are, no key seals more than one. */
const keyOf = (keys: ServerKeys, id: string) => hmac(keys.outbox, id)
const contextOf = ({ id, kind }: Label) => `claviger/1/outbox/${kind}/${id}`

export function sealPayload(keys: ServerKeys, label: Label, payload: unknown): SealedPayload {
  const plain = Buffer.from(JSON.stringify(payload))
  return { sealed: sealBytes(keyOf(keys, label.id), contextOf(label), plain), sealedBy: keys.fingerprint }
}

/** @returns undefined if the secret that sealed it is not in the list, or if the row was altered. */
export function openPayload(
  serverKeys: KeyList,
  { sealed, sealedBy, ...label }: Label & SealedPayload,
): { payload: unknown } | undefined {
  const keys = serverKeys.find((entry) => entry.fingerprint === sealedBy)
  if (!keys) return undefined
  try {
    return { payload: JSON.parse(openBytes(keyOf(keys, label.id), contextOf(label), sealed).toString()) }
  } catch {
    return undefined
  }
}
