/** An argon2id hash, as its PHC string describes it. */
export interface Phc {
  memoryKib: number
  passes: number
  lanes: number
  salt: Buffer
  tag: Buffer
}

/** Other programs may write the parameters in another order. We write that of the PHC specification. */
const PARAMETERS = /^(?=.*m=)(?=.*t=)(?=.*p=)[mtp]=\d{1,7}(?:,[mtp]=\d{1,7}){2}$/
const SHAPE = /^\$argon2id\$v=19\$([^$]*)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/

export function formatPhc({ memoryKib, passes, lanes, salt, tag }: Phc): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${unpadded(salt)}$${unpadded(tag)}`
}

/** @returns undefined unless it is argon2id, version 19, with parameters that a server can afford. */
export function parsePhc(text: string): Phc | undefined {
  const [, given = '', salt = '', tag = ''] = SHAPE.exec(text) ?? []
  const parameters = parseParameters(given)
  return parameters && { ...parameters, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}

/** The part of a PHC string between its version and its salt: `m=19456,t=2,p=1`. */
export function parseParameters(text: string): Pick<Phc, 'memoryKib' | 'passes' | 'lanes'> | undefined {
  if (!PARAMETERS.test(text)) return undefined
  const given = new Map(text.split(',').map((pair) => [pair.slice(0, 1), Number(pair.slice(2))]))
  const [memoryKib = 0, passes = 0, lanes = 0] = ['m', 't', 'p'].map((name) => given.get(name))
  // Somewhat more than our own settings allow. A single verification beyond this would exhaust the server.
  if (memoryKib > 2 ** 20 || passes > 64 || passes < 1 || lanes > 16 || lanes < 1 || memoryKib < 8 * lanes)
    return undefined
  return { memoryKib, passes, lanes }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
