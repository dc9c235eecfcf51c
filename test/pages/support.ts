import type { LightMyRequestResponse } from 'fastify'
import type { TestApp } from '../support/app.ts'
import { noteSecretsOf } from '../support/canary.ts'

const REFRESH = '__Host-refresh_token'

export interface Browser {
  /** The refresh token, as the browser keeps it. */
  get cookie(): string | undefined
  set cookie(token: string | undefined)
  get(path: string, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  /** Sends a form of a page of the issuer's. */
  send(
    path: string,
    fields: Record<string, string>,
    headers?: Record<string, string | undefined>,
  ): Promise<LightMyRequestResponse>
}

/** Somebody's browser, with its cookie. */
export function openBrowser(t: TestApp): Browser {
  const { origin } = new URL(t.config.ISSUER)
  const jar = new Map<string, string>()
  const ask = async (
    method: 'GET' | 'POST',
    url: string,
    headers: Record<string, string | undefined>,
    payload = '',
  ) => {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const withCookie = { ...(cookie === '' ? {} : { cookie }), ...headers }
    const stated = Object.fromEntries(Object.entries(withCookie).filter(([, value]) => value !== undefined))
    const answer = await t.inject({ method, url, headers: stated, payload })
    for (const { name, value } of answer.cookies) keep(name, value)
    return answer
  }
  const keep = (name: string, value = ''): void => {
    if (value === '') jar.delete(name)
    else jar.set(name, value)
  }
  return {
    get cookie() {
      return jar.get(REFRESH)
    },
    set cookie(token) {
      keep(REFRESH, token)
    },
    get: (path, headers = {}) => ask('GET', path, headers),
    send: (path, fields, headers = {}) => {
      noteSecretsOf(fields)
      const form = { origin, 'sec-fetch-site': 'same-origin', 'content-type': 'application/x-www-form-urlencoded' }
      return ask('POST', path, { ...form, ...headers }, new URLSearchParams(fields).toString())
    },
  }
}

/** What a page says, without its markup. */
export function textOf({ body }: { body: string }): string {
  return body
    .replace(/<(head|svg)\b.*?<\/\1>/gs, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#39;/g, "'")
    .replace(/\s+/g, ' ')
    .trim()
}
