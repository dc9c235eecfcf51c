// node refresh-keys.mjs https://auth.example.com /etc/haproxy/jwt && systemctl reload haproxy
// Writes the issuer's key set as PEM files for HAProxy. Ends with 0 if they have changed, with 1 if they have not, with
// 2 after an error; then the old files stay. Run it every five minutes.
import { createPublicKey } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const slots = 4
const [issuer, folder] = process.argv.slice(2)

async function get(url) {
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(5000) })
  if (!answer.ok) throw new Error(`${url} was answered ${answer.status}`)
  return answer.json()
}

/** @returns whether the file was another before. A reader sees the old one or the new one whole. */
async function write(name, text) {
  const file = join(folder, name)
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return false
  await writeFile(`${file}.new`, text)
  await rename(`${file}.new`, file)
  return true
}

try {
  const metadata = await get(`${issuer}/.well-known/openid-configuration`)
  if (metadata.issuer !== issuer) throw new Error('the metadata is of another issuer')
  const { keys } = await get(metadata.jwks_uri)
  const usable = keys.filter(({ kty, alg, kid }) => kty === 'RSA' && alg === 'RS256' && /^[\w-]+$/.test(kid))
  if (usable.length === 0 || usable.length > slots) throw new Error(`${usable.length} keys for ${slots} files`)
  // In the order of their ids, so that the same set gives the same files.
  usable.sort((a, b) => (a.kid < b.kid ? -1 : 1))
  await mkdir(folder, { recursive: true })
  const changed = []
  for (let slot = 1; slot <= slots; slot++) {
    // HAProxy wants every file that it is told of. What no kid leads to is not used.
    const key = createPublicKey({ key: usable[slot - 1] ?? usable[0], format: 'jwk' })
    changed.push(await write(`${slot}.pem`, key.export({ type: 'spki', format: 'pem' })))
  }
  changed.push(await write('kids.map', usable.map(({ kid }, index) => `${kid} ${index + 1}\n`).join('')))
  process.exitCode = changed.includes(true) ? 0 : 1
} catch (error) {
  console.error(error)
  process.exitCode = 2
}
