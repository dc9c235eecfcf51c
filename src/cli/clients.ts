import { rotateSecret, type SecretRotation } from '../clients/change.ts'
import { findClientBy, findRegistered, listClients } from '../clients/list.ts'
import { disableAndRemove, disableClient, enableClient } from '../oauth/disable-client.ts'
import { count } from './account-view.ts'
import { add, credentials } from './clients-add.ts'
import { describe, stateOf, toJson } from './clients-view.ts'
import { command } from './command.ts'
import { consent } from './consent.ts'
import { refuse } from './exit.ts'
import { printable, table } from './terminal.ts'
import { iso } from './times.ts'

const list = command({
  name: 'clients list',
  usage: '',
  summary: 'list clients: those that are built in, then those that were registered, oldest first',
  takes: [0, 0],
  options: {},
  run: async ({ open, paint, width }) => {
    const clients = await listClients(await open())
    const rows = clients.map((client) => [
      client.id,
      printable(client.name),
      client.type,
      stateOf(client, paint),
      client.auth?.method ?? '-',
      client.dpopRequired ? 'required' : '-',
      client.createdAt ? iso(client.createdAt) : '-',
    ])
    const headings = ['CLIENT ID', 'NAME', 'TYPE', 'STATE', 'PROVES ITSELF BY', 'DPOP', 'CREATED']
    return { json: { clients: clients.map(toJson) }, text: table(headings, rows, { paint, width }) }
  },
})

const show = command({
  name: 'clients show',
  usage: '<client_id|name>',
  summary: 'tell all that is known of a client',
  details: `A secret is never shown again: “claviger clients rotate-secret” makes another. What the client leaves to the settings is shown as
they are in this terminal; a server that was started with others goes by its own.`,
  takes: [1, 1],
  options: {},
  run: async ({ open, paint }, [which = '']) => {
    const opened = await open()
    const client = await findClientBy(opened, which)
    const text = `${paint('bold', printable(client.name))}\n${describe(client, opened.config, paint, opened.clock())}`
    return { json: { client: toJson(client) }, text }
  },
})

const disable = command({
  name: 'clients disable',
  usage: '<client_id|name>',
  summary: 'end what a client was given, and give it nothing more',
  details: `Nobody signs in with it any more and its sessions end; a service gets no token. Access tokens that are out stay valid for
verifiers that work offline and do not follow the revocation feed, until they expire. The same command again ends what an
interrupted one has left.`,
  takes: [1, 1],
  options: {},
  run: async ({ open, paint }, [which = '']) => {
    const opened = await open()
    const client = await findRegistered(opened, which)
    const sessions_ended = await disableClient(opened, opened.operation(), client)
    const ended = client.type === 'service' ? '' : `; ${count(sessions_ended, 'session')} ended`
    const text = `Disabled ${paint('bold', printable(client.name))}${ended}.`
    return { json: { client: toJson(await findClientBy(opened, client.id)), sessions_ended }, text }
  },
})

const enable = command({
  name: 'clients enable',
  usage: '<client_id|name>',
  summary: 'let a client that was disabled work again',
  details: `People have to sign in again; the secrets of a service are those that it had, and one that was held off after failures need
not wait any longer.`,
  takes: [1, 1],
  options: {},
  run: async ({ open, paint }, [which = '']) => {
    const opened = await open()
    const client = await findRegistered(opened, which)
    const changed = await enableClient(opened, opened.operation(), client)
    const name = paint('bold', printable(client.name))
    const text = changed
      ? `Enabled ${name}: servers know it within five seconds.`
      : `Nothing to do: ${name} is enabled.`
    return { json: { client: toJson(await findClientBy(opened, client.id)) }, text }
  },
})

const rotate = command({
  name: 'clients rotate-secret',
  usage: '<client_id|name> [--drop-oldest | --compromised | --finish]',
  summary: 'give a service another secret; the one before goes on for a while',
  details: `Give the service the new secret, then end the old one with --finish. Two count at most. A service that is held off after
failures need not wait any longer.

  --drop-oldest   of two that count, the older one ends now
  --compromised   a secret is in wrong hands: all others end now. Tokens that it got are good until they expire; “claviger
                  clients disable” ends those too
  --finish        make none: the newest alone counts from now on`,
  takes: [1, 1],
  options: { 'drop-oldest': { type: 'boolean' }, compromised: { type: 'boolean' }, finish: { type: 'boolean' } },
  run: async ({ open, paint }, [which = ''], values) => {
    const asked = Object.entries(ROTATIONS).filter(([option]) => values[option as keyof typeof ROTATIONS])
    if (asked.length > 1) refuse('--drop-oldest, --compromised and --finish exclude each other')
    const how = asked[0]?.[1] ?? 'overlap'
    const opened = await open()
    const client = await findRegistered(opened, which)
    const operation = opened.operation()
    const { secret, others } = await rotateSecret(opened, operation, { id: client.id, how })
    const name = paint('bold', printable(client.name))
    if (secret === undefined)
      return { json: { client_id: client.id }, text: `The newest secret of ${name} alone counts from now on.` }
    const before =
      others === 0 ? '' : '\nThe one before still counts: end it with --finish once the service has the new one.'
    const text = `Another secret of ${name}.\n\n${credentials(client.id, secret, operation.now, paint)}${before}`
    return { json: { client_id: client.id, client_secret: secret }, text }
  },
})

const ROTATIONS = {
  'drop-oldest': 'drop-oldest',
  compromised: 'drop-all',
  finish: 'finish',
} as const satisfies Record<string, SecretRotation>

const remove = command({
  name: 'clients remove',
  usage: '<client_id|name> [--yes]',
  summary: 'disable a client and delete it for good',
  details: `Its name is free again, its client_id is never given out again. The audit trail keeps what it says of it.

  --yes   do not ask`,
  takes: [1, 1],
  options: { yes: { type: 'boolean' } },
  run: async ({ io, open, paint }, [which = ''], { yes = false }) => {
    const ask = consent(io, yes)
    const opened = await open()
    const client = await findRegistered(opened, which)
    const name = printable(client.name)
    await ask(`${name} is deleted for good, and what it was given ends.`)
    const sessions_ended = await disableAndRemove(opened, opened.operation(), client)
    const ended = client.type === 'service' ? '' : `; ${count(sessions_ended, 'session')} ended`
    return { json: { client_id: client.id, sessions_ended }, text: `Removed ${paint('bold', name)}${ended}.` }
  },
})

export const clientCommands = [add, list, show, disable, enable, rotate, remove]
