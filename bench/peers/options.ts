import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { isAlive } from '../processes.ts'
import type { Adapter } from './adapter.ts'
import { claviger } from './claviger.ts'
import { keratin } from './keratin.ts'
import { keycloak } from './keycloak.ts'
import { oauth } from './oauth.ts'
import { supabase } from './supabase.ts'

export const usage = `npm run bench:peers -- [row …] [servers] [options]

Drives servers that already run, with their limits per address raised. Accounts are made in them: use empty databases.

rows                 sign-in, refresh, client-credentials (all that a server can do)
--claviger URL       REGISTRATION=open, and ISSUER with this URL's host
--supabase URL       Supabase Auth, sign-up without confirmation
--keratin URL        keratin/authn-server
--keratin-origin O   a site of its APP_DOMAINS (http://localhost)
--keycloak URL       and --keycloak-realm R, --keycloak-client ID, --keycloak-admin NAME (master, admin-cli, admin);
                     the environment gives KEYCLOAK_ADMIN_PASSWORD and, if the client has one, KEYCLOAK_CLIENT_SECRET
--oauth URL          a token endpoint, and --oauth-client ID, --oauth-tokens FILE (refresh tokens, one per line);
                     the environment gives OAUTH_CLIENT_SECRET, if the client has one
--pid NAME=PID       CPU time of a process and its children: claviger, supabase, keratin, keycloak, oauth for the
                     server; postgres, redis or another name for what it stores in. Only on this machine
--users N            accounts, with one session each (100; 32 connections refresh, each session by one at a time)
--seconds N          length of one measurement (8), in two turns, so that a disturbance meets every server
--warm N             seconds before that which do not count (2; a JVM wants 20 or more)
--json               the report for machines, on standard output`

export const rowNames = ['sign-in', 'refresh', 'client-credentials'] as const
export type RowName = (typeof rowNames)[number]

export interface Peer extends Adapter {
  /** Of the server, if it was given. */
  pid?: number
}

export interface Options {
  rows: RowName[]
  peers: Peer[]
  /** What the servers store in: PostgreSQL's postmaster, Redis. */
  stores: Map<string, number>
  users: number
  seconds: number
  warm: number
  json: boolean
}

/** @throws Error that says which option is wrong. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv): Options {
  const text = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      claviger: text,
      supabase: text,
      keratin: text,
      'keratin-origin': { ...text, default: 'http://localhost' },
      keycloak: text,
      'keycloak-realm': { ...text, default: 'master' },
      'keycloak-client': { ...text, default: 'admin-cli' },
      'keycloak-admin': { ...text, default: 'admin' },
      oauth: text,
      'oauth-client': { ...text, default: 'bench' },
      'oauth-tokens': text,
      pid: { ...text, multiple: true, default: [] },
      users: { ...text, default: '100' },
      seconds: { ...text, default: '8' },
      warm: { ...text, default: '2' },
      json: { type: 'boolean', default: false },
    },
  })
  const chosen = positionals.map((name) => rowNames.find((known) => known === name) ?? fail(`no row is called ${name}`))
  const pids = new Map(values.pid.map(readPid))
  const kinds = {
    claviger,
    supabase,
    keratin: (url: URL) => keratin(url, values['keratin-origin']),
    keycloak: (url: URL) =>
      keycloak(url, {
        realm: values['keycloak-realm'],
        client: { id: values['keycloak-client'], secret: env.KEYCLOAK_CLIENT_SECRET },
        admin: { name: values['keycloak-admin'], password: env.KEYCLOAK_ADMIN_PASSWORD ?? '' },
      }),
    oauth: (url: URL) =>
      oauth(url, { id: values['oauth-client'], secret: env.OAUTH_CLIENT_SECRET }, readLines(values['oauth-tokens'])),
  }
  const peers = Object.entries(kinds).flatMap(([kind, adapterOf]): Peer[] => {
    const given = values[kind as keyof typeof kinds]
    const pid = pids.get(kind)
    pids.delete(kind)
    if (given === undefined) return []
    return [{ ...adapterOf(new URL(given)), ...(pid === undefined ? {} : { pid }) }]
  })
  if (peers.length === 0) fail('no server is given')
  return {
    rows: chosen.length > 0 ? chosen : [...rowNames],
    peers,
    stores: pids,
    users: positive(values.users),
    seconds: positive(values.seconds),
    warm: positive(values.warm),
    json: values.json,
  }
}

function readPid(text: string): [string, number] {
  const [, name, pid] = /^([a-z-]+)=(\d+)$/.exec(text) ?? fail(`--pid ${text}: not NAME=PID`)
  if (!isAlive(Number(pid))) fail(`--pid ${text}: no such process`)
  return [name as string, Number(pid)]
}

const readLines = (file: string | undefined): string[] =>
  file === undefined ? [] : readFileSync(file, 'utf8').split(/\s+/).filter(Boolean)

const positive = (text: string): number => (Number(text) > 0 ? Number(text) : fail(`${text} is not a positive number`))

function fail(message: string): never {
  throw new Error(message)
}
