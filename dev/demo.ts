// npm run demo: the issuer as in npm start, with the orders service, the page of examples/ and an inbox for its mail.
import { createServer, type Server } from 'node:net'
import { demoAccounts, inviteGuest } from './demo/accounts.ts'
import { buildExamples } from './demo/build.ts'
import { ordersClient } from './demo/client.ts'
import { startInbox } from './demo/inbox.ts'
import { startOrders } from './demo/orders.ts'
import { fillEnvironment } from './environment.ts'
import { explain } from './explain.ts'

const say = (line: string): void => console.log(`claviger: ${line}`)
const HOST = '127.0.0.1'

interface Failure extends Error {
  code?: string
  port?: number
}

/** Ended in reverse order. */
const closing: (() => Promise<unknown>)[] = []
let stopping: number | undefined

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // Ctrl-C arrives twice, from the terminal and from the wrapper that passes signals on. Later ones mean: now.
    if (stopping !== undefined && performance.now() - stopping > 1000) process.exit(1)
    if (stopping === undefined) void end(0)
  })
}

async function end(code: number): Promise<void> {
  stopping = performance.now()
  for (const close of closing.splice(0).toReversed()) {
    await close().catch((error: Error) => {
      console.error(`claviger: ${error.message}`)
      code = 1
    })
  }
  process.exit(code)
}

async function start(): Promise<void> {
  const { env } = process
  const ports = {
    PORT: portOf(env, 'PORT', 3000),
    ORDERS_PORT: portOf(env, 'ORDERS_PORT', 4000),
    SPA_PORT: portOf(env, 'SPA_PORT', 5173),
  }
  // Checked before anything is built or started, because it takes no time and is what fails most often.
  for (const [name, port] of Object.entries(ports)) await insistOnFree(name, port)

  const page = `http://localhost:${ports.SPA_PORT}`
  const orders = `http://localhost:${ports.ORDERS_PORT}`
  const issuer = (env.ISSUER ||= `http://localhost:${ports.PORT}`)
  env.PORT = String(ports.PORT)
  env.ALLOWED_ORIGINS = [...new Set([page, ...(env.ALLOWED_ORIGINS?.split(',') ?? [])])].filter(Boolean).join(',')
  env.AUDIENCE ||= 'orders'
  // Short, so that there is a refresh to be seen before the coffee is cold.
  env.ACCESS_TOKEN_SECONDS ||= '60'
  env.REGISTRATION ||= 'open'
  env.METRICS_PORT ||= '0'
  env.LOG_LEVEL ||= 'warn'
  env.APP_URL ||= `${page}/{page}#token={token}`
  // Claviger's pages in the colours of the application.
  env.BRAND_COLOR ||= '#8f5f05'
  env.BRAND_COLOR_DARK ||= '#e9b949'
  // Mail goes by SMTP as everywhere: to an inbox that the page shows, unless there is a server for it.
  const inbox = env.SMTP_URL || env.SMTP_URL_FILE ? undefined : await startInbox()
  if (inbox) {
    closing.push(inbox.close)
    env.SMTP_URL = inbox.url
    env.MAIL_FROM ||= 'Claviger demo <demo@localhost>'
  }

  say('building the page and the packages that it is made with')
  const building = buildExamples()
  building.catch(() => {})
  closing.push((await fillEnvironment(env, say)).close)
  const { serve } = await import('../src/serve.ts')
  const server = await serve(env)
  closing.push(server.stop)
  const accounts = await demoAccounts(env)
  if (inbox) await inviteGuest(env)
  await building
  if (stopping !== undefined) return

  const audience = env.AUDIENCE.split(',')[0] ?? 'orders'
  const { id, secret } = await ordersClient(env)
  closing.push(
    await startOrders({
      ISSUER: issuer,
      AUDIENCE: audience,
      ALLOWED_ORIGIN: page,
      PUBLIC_URL: orders,
      PORT: `${ports.ORDERS_PORT}`,
      CLIENT_ID: id,
      CLIENT_SECRET: secret,
    }),
  )

  const { createSpa } = await import('../examples/spa/server.ts')
  const [{ email, password }] = accounts
  const hint = 'The password of the demo account is in the terminal in which the demo was started.'
  const spa = createSpa({
    issuer,
    orders,
    issuerInside: server.url,
    demo: { email, password, hint },
    mail: true,
    inbox: inbox?.mails,
  })
  await listen(spa, ports.SPA_PORT)
  closing.push(() => close(spa))

  const lines = accounts.map(
    ({ email, password, roles }) =>
      `    ${email.padEnd(18)}  ${password}${roles.length > 0 ? `   (${roles.join()})` : ''}`,
  )
  console.log(`
  The demo is ready:  ${page}

${lines.join('\n')}

    issuer  ${issuer}  (API: ${issuer}/docs)
    orders  ${orders}

  Ctrl-C ends all of it. Accounts and keys stay in .claviger/.
`)
}

function portOf(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const port = Number(env[name] || fallback)
  if (Number.isInteger(port) && port > 0 && port < 65536) return port
  throw new Error(`${name} must be a port number from 1 to 65535`)
}

async function insistOnFree(name: string, port: number): Promise<void> {
  const probe = createServer()
  await listen(probe, port).catch((error: Failure) => {
    if (error.code !== 'EADDRINUSE') throw error
    throw new Error(`port ${port} is in use; choose another one, as in: ${name}=${port + 1} npm run demo`)
  })
  await close(probe)
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail)
    server.listen(port, HOST, () => done())
  })
}

function close(server: Server & { closeAllConnections?: () => void }): Promise<void> {
  return new Promise((done) => {
    server.close(() => done())
    server.closeAllConnections?.()
  })
}

start().catch((error: Failure) => {
  if (stopping !== undefined) return
  console.error(explain(error))
  void end(1)
})
