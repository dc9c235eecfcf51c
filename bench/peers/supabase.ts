import { type Adapter, call, json, member } from './adapter.ts'

/** Supabase Auth by itself, without the gateway that is before it in the product. Needs sign-up without confirmation. */
export const supabase = (url: URL): Adapter => ({
  name: 'Supabase Auth',
  url,
  createUser: async (user) => void (await call(url, json('/signup', user))),
  signIn: (user) => json('/token?grant_type=password', user),
  refresh: (token) => json('/token?grant_type=refresh_token', { refresh_token: token }),
  credentialIn: (answer) => member(answer, 'refresh_token'),
})
