/** Why a request was refused, as far as it is about the proof (RFC 9449 §5, §7.1, §8, §9). */
export type Refusal = 'use_dpop_nonce' | 'invalid_dpop_proof'

const NAMES = /\b(use_dpop_nonce|invalid_dpop_proof)\b/

/** @param isGrant whether a token was asked for: then the reason is in the body, otherwise in the challenge. */
export async function refusalOf(response: Response, isGrant: boolean): Promise<Refusal | undefined> {
  const { status, headers } = response
  let text = ''
  if (status === 401) text = headers.get('www-authenticate') ?? ''
  else if (isGrant && status === 400) text = await response.clone().text()
  return NAMES.exec(text)?.[1] as Refusal | undefined
}
