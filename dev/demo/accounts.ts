import { randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createOnce } from '../create-once.ts'
import { operator } from './operator.ts'

export interface Account {
  email: string
  password: string
  roles: string[]
}

const words =
  'amber anchor apple basil beacon birch breeze bridge candle canyon cedar cloud clover copper coral cotton daisy delta ember fern fjord forest garden ginger harbour hazel honey island ivory jasmine juniper lagoon lantern lemon linen lotus maple marble meadow mint mosaic moss nectar olive orchid pebble pepper pine plum poppy quartz rain reed river saffron sage salt silver sparrow spruce stone summer tulip velvet violet walnut willow winter'.split(
    ' ',
  )

const stateFolder = join(import.meta.dirname, '../../.claviger')

/**
 * The accounts of the demo, made with the operator's commands. Their password is random, and kept under .claviger/ between
 * runs; where it was lost, they get another one.
 * @param env settings of the server, which has migrated its database
 */
export async function demoAccounts(env: NodeJS.ProcessEnv): Promise<[Account, ...Account[]]> {
  await mkdir(stateFolder, { recursive: true })
  const file = join(stateFolder, 'demo-password')
  const known = existsSync(file)
  const password = await createOnce(file, newPassword)
  const accounts: [Account, ...Account[]] = [
    { email: 'demo@example.com', password, roles: [] },
    { email: 'admin@example.com', password, roles: ['admin'] },
  ]
  for (const { email, roles } of accounts) {
    const options = roles.flatMap((role) => ['--role', role])
    const { code, output } = await operator(env, ['users', 'create', email, ...options], password)
    if (code === 0) continue
    if (!output.includes('address exists')) throw new Error(output)
    if (!known) await operator(env, ['users', 'password', email], password)
  }
  return accounts
}

/** So that the inbox has a mail to begin with. Nothing comes of it for whoever has accepted already, or was invited often. */
export async function inviteGuest(env: NodeJS.ProcessEnv): Promise<void> {
  await operator(env, ['users', 'invite', 'guest@example.com'])
}

/** Five words of seventy: 30 bits, which rate limits and argon2id guard, on this machine only. */
function newPassword(): string {
  return Array.from({ length: 5 }, () => words[randomInt(words.length)]).join('-')
}
