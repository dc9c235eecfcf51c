import type { Settings } from './options.ts'
import type { Visit } from './types.ts'

/** What the issuer is told about the visitor of a request: for the list of sessions, notices and limits. */
export function createIntroduction({
  client,
  clientAddress,
}: Pick<Settings, 'client' | 'clientAddress'>): (visit: Visit) => Record<string, string> {
  const authorization = client && `Basic ${btoa(`${encode(client.id)}:${encode(client.secret)}`)}`
  const state = (address: string): Record<string, string> =>
    authorization
      ? { authorization, 'claviger-visitor-address': address }
      : // Believed only of a trusted proxy. A list would be read as a chain of them, of which the right end counts.
        { 'x-forwarded-for': address }

  return (visit) => {
    const agent = visit.headers.get('user-agent')
    const address = addressIn(clientAddress?.(visit) ?? '')
    return { ...(agent && { 'user-agent': agent }), ...(address && state(address)) }
  }
}

/** As in a form (RFC 6749 §2.3.1). */
const encode = (part: string): string => new URLSearchParams({ '': part }).toString().slice(1)

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = new RegExp(`^(${OCTET}(?:\\.${OCTET}){3})(?::\\d+)?$`)
const IPV6 = /^(?:\[([\da-f:.]+)\](?::\d+)?|([\da-f:.]+))(?:%.*)?$/i

/** The address in what a proxy has written, without port and zone. @returns undefined if there is none: the issuer refuses anything else. */
function addressIn(text: string): string | undefined {
  const four = IPV4.exec(text)?.[1]
  if (four) return four
  const [, bracketed, bare] = IPV6.exec(text) ?? []
  const six = bracketed ?? bare
  return six?.includes(':') && URL.canParse(`http://[${six}]`) ? six : undefined
}
