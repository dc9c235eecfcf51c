export { createClient } from './client.ts'
export { ClavigerError } from './errors.ts'
export { accountUrl, forgotUrl, type PageOptions, registerUrl, signInUrl } from './pages.ts'
export type {
  AuthState,
  Binding,
  Cause,
  Client,
  Credentials,
  DpopKey,
  Listener,
  Login,
  Options,
  PublicJwk,
  Registration,
  Storage,
  User,
} from './types.ts'
