import { type Adapter, call, json, member } from './adapter.ts'

/** Needs REGISTRATION=open, and an issuer whose host is that of the URL. */
export const claviger = (url: URL): Adapter => ({
  name: 'Claviger',
  url,
  createUser: async (user) => void (await call(url, json('/register', user))),
  signIn: ({ email, password }) => json('/login', { email, password, client_id: 'native' }),
  refresh: (token) => json('/refresh', { refresh_token: token }),
  credentialIn: (answer) => member(answer, 'refresh_token'),
})
