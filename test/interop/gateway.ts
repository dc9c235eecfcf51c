import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job, Verdict } from './program.ts'

/** The service behind a gateway: answers 200 and says whom the gateway took the caller for. */
export async function startService(): Promise<AsyncDisposable & { address: string }> {
  const server = createServer((asked, answer) => answer.end(String(asked.headers['x-subject'])))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Waits until somebody listens. @throws Error when time is up, or with `ended` if that comes first. */
export async function waitForPort(port: number, ended: Promise<unknown>, seconds = 10): Promise<void> {
  let failure: Error | undefined
  ended.catch((error: Error) => {
    failure = error
  })
  for (let tries = 0; tries < seconds * 20; tries++) {
    if (failure) throw failure
    const socket = connect(port, '127.0.0.1')
    const open = await Promise.race([
      once(socket, 'connect').then(
        () => true,
        () => false,
      ),
      sleep(1000, false),
    ])
    socket.destroy()
    if (open) return
    await sleep(50)
  }
  throw new Error(`nobody listens on port ${port}`)
}

/** Sends each token as a client would. Accepted: the service was reached. Any answer but 200 and a refusal is an error. */
export async function askGateway(port: number, job: Job): Promise<Verdict[]> {
  const { status } = await ask(port, undefined, job.signal)
  if (status !== 401) throw new Error(`a request without a token was answered ${status}, not 401`)
  const judge = async ({ name, token }: Job['tokens'][number]): Promise<Verdict> => {
    // An error: a header that cannot be sent, or a connection that the gateway has closed on it.
    const { status, text } = await ask(port, token, job.signal).catch((error: Error) => ({
      status: 0,
      text: error.message,
    }))
    if (status >= 500) throw new Error(`${name}: the gateway answered ${status}: ${text}`)
    return status === 200 ? { name, accepted: true } : { name, accepted: false, error: `${status} ${text}` }
  }
  const verdicts: Verdict[] = []
  for (const token of job.tokens) verdicts.push(await judge(token))
  // One that has died half way refuses everything, too.
  const [first] = job.tokens
  if (first && (await judge(first)).accepted !== verdicts[0]?.accepted) throw new Error('the gateway changed its mind')
  return verdicts
}

async function ask(
  port: number,
  token: string | undefined,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  // A caller who says who he is must not be believed.
  const headers = { 'x-subject': 'admin', connection: 'close' }
  const asked = request({ host: '127.0.0.1', port, path: '/orders', headers, signal, agent: false })
  if (token !== undefined) asked.setHeader('authorization', `Bearer ${token}`)
  asked.end()
  const [answer] = await once(asked, 'response')
  let text = ''
  for await (const chunk of answer) text += chunk
  if (answer.statusCode === 200 && text === 'admin') throw new Error('the service was told what the caller said')
  return { status: answer.statusCode, text: answer.headers['www-authenticate'] ?? '' }
}
