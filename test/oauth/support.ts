import type { LightMyRequestResponse } from 'fastify'
import type { TestApp } from '../support/app.ts'

type Fields = Record<string, string>

/** Sends parameters as OAuth libraries do. */
export async function form(
  t: TestApp,
  url: string,
  fields: Fields | string,
  headers: Fields = {},
): Promise<LightMyRequestResponse> {
  return await t.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    payload: new URLSearchParams(fields).toString(),
  })
}

export const revoke = (t: TestApp, fields: Fields, headers?: Fields) => form(t, '/oauth/revoke', fields, headers)
