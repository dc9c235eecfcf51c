import { operator } from './operator.ts'

const NAME = 'orders'

/** The orders service as a client of the issuer. A secret is shown once, so each run of the demo makes another. */
export async function ordersClient(env: NodeJS.ProcessEnv): Promise<{ id: string; secret: string }> {
  const rotated = await operator(env, ['clients', 'rotate-secret', NAME, '--compromised', '--json'])
  const made =
    rotated.code === 0 ? rotated : await operator(env, ['clients', 'add', NAME, '--type', 'service', '--json'])
  if (made.code !== 0) throw new Error(made.output)
  const { client_id: id, client_secret: secret } = JSON.parse(made.output) as Record<string, string>
  return { id: id ?? '', secret: secret ?? '' }
}
