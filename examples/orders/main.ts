import { hostname } from 'node:os'
import { createOrders } from './service.ts'

const { ISSUER = 'http://localhost:3000', AUDIENCE, ALLOWED_ORIGIN, ISSUER_INSIDE, HOST, PORT } = process.env
const { CLIENT_ID, CLIENT_SECRET, PUBLIC_URL } = process.env
const app = await createOrders({
  issuer: ISSUER,
  audience: AUDIENCE || ISSUER,
  origin: ALLOWED_ORIGIN || 'http://localhost:5173',
  issuerInside: ISSUER_INSIDE || undefined,
  url: PUBLIC_URL || `http://localhost:${PORT || 4000}`,
  client:
    CLIENT_ID && CLIENT_SECRET
      ? { id: CLIENT_ID, secret: CLIENT_SECRET, instance: `${hostname()}:${process.pid}` }
      : undefined,
})
await app.listen({ host: HOST || '127.0.0.1', port: Number(PORT || 4000) })
console.log('orders: ready')
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void app.close())
