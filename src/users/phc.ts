/** An argon2id hash as its PHC string says it was made. */
export interface Phc {
  memoryKib: number
  passes: number
  lanes: number
  salt: Buffer
  tag: Buffer
}

/** Other programs write the parameters in another order; we write the one of the PHC specification. */
const SHAPE =
  /^\$argon2id\$v=19\$(?=[^$]*m=)(?=[^$]*t=)(?=[^$]*p=)([mtp]=\d{1,7}(?:,[mtp]=\d{1,7}){2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/

export function formatPhc({ memoryKib, passes, lanes, salt, tag }: Phc): string {
  return `$argon2id$v=19$m=${memoryKib},t=${passes},p=${lanes}$${unpadded(salt)}$${unpadded(tag)}`
}

/** @returns undefined where it is not argon2id, version 19, within bounds that a server survives. */
export function parsePhc(text: string): Phc | undefined {
  const [, parameters = '', salt = '', tag = ''] = SHAPE.exec(text) ?? []
  const given = new Map(parameters.split(',').map((pair) => [pair.slice(0, 1), Number(pair.slice(2))]))
  const [memoryKib = 0, passes = 0, lanes = 0] = ['m', 't', 'p'].map((name) => given.get(name))
  // The most that our own settings allow, and some: a single verification beyond it would stop everything else.
  if (memoryKib > 2 ** 20 || passes > 64 || passes < 1 || lanes > 16 || lanes < 1 || memoryKib < 8 * lanes)
    return undefined
  return { memoryKib, passes, lanes, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
