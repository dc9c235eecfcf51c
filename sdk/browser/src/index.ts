export { createClient } from './client.ts'
export { ClavigerError } from './errors.ts'
export { accountUrl, forgotUrl, type PageOptions, registerUrl, signInUrl } from './pages.ts'
export type {
  AuthState,
  Cause,
  Client,
  Credentials,
  Listener,
  Login,
  Options,
  Registration,
  Storage,
  User,
} from './types.ts'
