export { createClient } from './client.ts'
export { ClavigerError } from './errors.ts'
export type { Client, Credentials, Login, Options, Storage, User } from './types.ts'
