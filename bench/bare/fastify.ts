// The ceiling of the key set: a bare Fastify route that sends the same bytes. Argument: the body in base64.
// Prints its port.
import fastify from 'fastify'

const body = Buffer.from(process.argv[2] ?? '', 'base64')
const app = fastify()
app.get('/', (_request, reply) => reply.header('content-type', 'application/jwk-set+json').send(body))
await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
console.log(JSON.stringify({ port: typeof address === 'object' ? address?.port : undefined }))
