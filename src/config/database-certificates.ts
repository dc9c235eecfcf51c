import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

type Name = 'sslrootcert' | 'sslcert' | 'sslkey'

/**
 * What is wrong with the TLS files that a database URL names. The driver reads them at every connection; a missing one
 * would look like a missing socket there, and the server would wait for the database instead of reporting the setting.
 */
export function certificateFaults(parameters: Readonly<Partial<Record<Name, string>>>): string[] {
  const faults: string[] = []
  const read = <T>(name: Name, what: string, use: (text: string) => T): T | undefined => {
    const path = parameters[name]
    if (path === undefined) return undefined
    try {
      return use(readFileSync(path, 'utf8'))
    } catch (error) {
      const { syscall, code } = error as NodeJS.ErrnoException
      faults.push(
        syscall ? `names a file in ${name} that cannot be read (${code})` : `names a file in ${name} without ${what}`,
      )
      return undefined
    }
  }
  const certificateOf = (text: string) => new X509Certificate(text)
  if (parameters.sslrootcert !== 'system') read('sslrootcert', 'a certificate in PEM', certificateOf)
  const certificate = read('sslcert', 'a certificate in PEM', certificateOf)
  const key = read('sslkey', 'a private key in PEM that needs no pass phrase', createPrivateKey)
  if ((parameters.sslcert === undefined) !== (parameters.sslkey === undefined)) {
    faults.push('has one of sslcert and sslkey: both or neither are needed')
  } else if (certificate && key && !certificate.checkPrivateKey(key)) {
    faults.push('names files in sslcert and sslkey that do not belong together')
  }
  return faults
}
