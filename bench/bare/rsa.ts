// The ceiling of a refresh: RSA-2048 signatures and nothing else. Argument: seconds. Prints one line of JSON.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { promisify } from 'node:util'

const seconds = Number(process.argv[2] ?? 3)
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const signOffLoop = promisify(sign)
/** About as long as an access token's header and claims. */
const input = randomBytes(500)

let count = 0
const caller = async (until: number): Promise<void> => {
  while (performance.now() < until) {
    await signOffLoop('RSA-SHA256', input, privateKey)
    count++
  }
}
const callers = (ms: number): Promise<unknown> => {
  const until = performance.now() + ms
  return Promise.all(Array.from({ length: 32 }, () => caller(until)))
}
await callers(300)
count = 0
const before = process.cpuUsage()
await callers(seconds * 1000)
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ count, seconds, cpuMs: (user + system) / 1000 }))
