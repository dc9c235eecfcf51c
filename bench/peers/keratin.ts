import { type Adapter, call, form, member } from './adapter.ts'

/**
 * keratin/authn-server. The session is a cookie that stays the same: a refresh extends it and signs a new access token.
 * @param origin - a site of APP_DOMAINS; other requests are refused.
 */
export function keratin(url: URL, origin: string): Adapter {
  const headers = { origin }
  return {
    name: 'keratin/authn-server',
    url,
    createUser: async ({ email, password }) => {
      await call(url, form('/accounts', { username: email, password }, headers))
    },
    signIn: ({ email, password }) => form('/session', { username: email, password }, headers),
    refresh: (cookie) => ({ method: 'GET', path: '/session/refresh', headers: { ...headers, cookie } }),
    credentialIn: (answer, presented) => {
      if (!member(answer, 'id_token')) return undefined
      return /^set-cookie: *(authn=[^;\r]+)/im.exec(answer.head)?.[1] ?? presented
    },
  }
}
