export { ClavigerError } from './errors.ts'
export type { Options } from './options.ts'
export { createServerClient, type ServerClient } from './server-client.ts'
export type { Credentials, Session, SignIn, User, Visit } from './types.ts'
