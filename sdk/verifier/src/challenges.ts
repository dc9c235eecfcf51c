import { ALGS } from './dpop/algorithms.ts'

/** Of `Authorization`: RFC 6750 §2.1, RFC 9449 §7.1. */
export type Scheme = 'Bearer' | 'DPoP'

export interface Schemes {
  /** By which the token came. */
  used: Scheme
  /** Which the route takes. */
  taken: readonly Scheme[]
}

interface Parameters {
  error?: string
  scope?: string | undefined
  realm?: string
}

/** The header of a refusal. A 401 lists every scheme that would do (RFC 9449 §7.2), what is said of the failure stands at one. */
export function challenge(schemes: Schemes, { error, scope, realm }: Parameters): { 'www-authenticate': string } {
  const { taken } = schemes
  if (realm !== undefined) return join(taken.map((scheme) => state(scheme, { realm })))
  // Of a proof, Bearer knows nothing.
  const isOfProof = error === 'invalid_dpop_proof'
  const failed = isOfProof && taken.includes('DPoP') ? 'DPoP' : schemes.used
  const stated = state(failed, { error: isOfProof && failed === 'Bearer' ? 'invalid_token' : error, scope })
  if (error === 'insufficient_scope') return join([stated])
  return join([stated, ...taken.filter((scheme) => scheme !== failed).map((scheme) => state(scheme, {}))])
}

function state(scheme: Scheme, parameters: Record<string, string | undefined>): string {
  const stated = { ...parameters, ...(scheme === 'DPoP' && { algs: ALGS }) }
  const text = Object.entries(stated).flatMap(([name, value]) => (value === undefined ? [] : [`${name}="${value}"`]))
  return [scheme, text.join(', ')].filter(Boolean).join(' ')
}

function join(challenges: string[]): { 'www-authenticate': string } {
  return { 'www-authenticate': challenges.join(', ') }
}
