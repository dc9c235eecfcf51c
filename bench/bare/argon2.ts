// The ceiling of a sign-in: argon2 verifications and nothing else. Arguments: seconds, how many at a time, PHC string,
// password. Prints one line of JSON.
import argon2 from 'argon2'

const [seconds = '3', atATime = '1', phc = '', password = ''] = process.argv.slice(2)
let count = 0
const caller = async (until: number): Promise<void> => {
  while (performance.now() < until) {
    if (!(await argon2.verify(phc, password))) throw new Error('the password does not fit')
    count++
  }
}
const callers = (ms: number): Promise<unknown> => {
  const until = performance.now() + ms
  return Promise.all(Array.from({ length: Number(atATime) }, () => caller(until)))
}
await callers(300)
count = 0
const before = process.cpuUsage()
await callers(Number(seconds) * 1000)
const { user, system } = process.cpuUsage(before)
console.log(JSON.stringify({ count, seconds: Number(seconds), cpuMs: (user + system) / 1000 }))
