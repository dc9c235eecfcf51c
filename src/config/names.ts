import { editDistance } from './edit-distance.ts'

type Env = Readonly<Record<string, string | undefined>>

/**
 * Reports variables that look like settings but are not: a misspelt setting would silently keep its default.
 * @param settings by name, and whether each is a secret and may therefore be read from a file.
 */
export function misspeltNames(env: Env, settings: Readonly<Record<string, { secret: boolean }>>): string[] {
  const names = Object.keys(settings)
  const known = new Set(names.flatMap((name) => (settings[name]?.secret ? [name, `${name}_FILE`] : [name])))
  return Object.entries(env)
    .filter(([name, value]) => value && !known.has(name) && !isServiceLink(name, value))
    .flatMap(([name]) => {
      const file = /^(.*)_FILE$/.exec(name)?.[1]
      if (file !== undefined && names.includes(file)) return [`${name} is not read: only secrets may come from files`]
      // Compose reads the same .env as the server, and this variable is Compose's.
      if (name === 'CLAVIGER_PORT')
        return ['CLAVIGER_PORT is what Compose publishes; the server itself listens on PORT']
      const meant = closest(name, names)
      if (meant !== undefined) return [`${name} is not a setting; ${meant} is`]
      return name.startsWith('CLAVIGER_') || name.startsWith('RATE_LIMIT_') ? [`${name} is not a setting`] : []
    })
    .toSorted()
}

/** Kubernetes sets such variables in every container, for each Service of its namespace. */
function isServiceLink(name: string, value: string): boolean {
  return isServiceAddress(value) || /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/.test(name)
}

export function isServiceAddress(value: string): boolean {
  return /^(tcp|udp|sctp):\/\/[\w.:[\]-]+$/.test(value)
}

function closest(name: string, settings: readonly string[]): string | undefined {
  const spellings = [name, name.replace(/^CLAVIGER_/, '')].map(lettersOf)
  const [best] = settings
    .map((setting) => ({
      setting,
      distance: Math.min(...spellings.map((each) => editDistance(each, lettersOf(setting)))),
    }))
    .filter(({ setting, distance }) => distance <= forgiven(setting, name) || isRelated(name, setting))
    .toSorted((a, b) => a.distance - b.distance)
  return best?.setting
}

function lettersOf(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '')
}

/** A short name with a typing error may belong to another program (HOST, HOME), but no other program uses our prefix. */
function forgiven(setting: string, name: string): number {
  const { length } = lettersOf(setting)
  if (length < 6) return name.startsWith('CLAVIGER_') ? 0 : -1
  return length < 10 ? 1 : length < 14 ? 2 : 3
}

/** Such as ISSUER_URL for ISSUER, or ACCESS_TOKEN_TTL for ACCESS_TOKEN_SECONDS. */
function isRelated(name: string, setting: string): boolean {
  const words = setting.split('_')
  const stem =
    words.length > 2 ? words.slice(0, 2).join('_') : words.length === 1 && setting.length > 5 ? setting : undefined
  return stem !== undefined && name.startsWith(`${stem}_`)
}
