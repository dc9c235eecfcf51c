import { disableUser, enableUser, findUser, setPassword } from '../users/accounts.ts'
import { changeEmail } from '../users/address.ts'
import { normaliseEmail } from '../users/email.ts'
import { deleteUser } from '../users/removal.ts'
import { count, toJson } from './account-view.ts'
import { command } from './command.ts'
import { consent } from './consent.ts'
import { EXIT, Failure } from './exit.ts'
import { hasherOf, newPassword } from './password.ts'

const password = command({
  name: 'users password',
  usage: '<email|id>',
  summary: 'give an account another password, and end its sessions',
  details: `The password is asked for twice on a terminal, else read from the first line of standard input. It is never an
argument.`,
  takes: [1, 1],
  options: {},
  run: async ({ io, open, paint }, [who = '']) => {
    const opened = await open()
    const { email } = await findUser(opened.db, who)
    const secret = await newPassword(io)
    const hasher = hasherOf(opened.config)
    const sessions_ended = await setPassword({ ...opened, hasher }, opened.operation(), who, secret)
    const text = `Set the password of ${paint('bold', email)}; ${count(sessions_ended, 'session')} ended. Tell it to nobody but its owner, who should change it.`
    return { json: { user: toJson(await findUser(opened.db, who)), sessions_ended }, text }
  },
})

const disable = command({
  name: 'users disable',
  usage: '<email|id>',
  summary: 'end all sessions of an account and let nobody start another',
  details: `Services that follow the revocation feed refuse access tokens that are out within seconds; others accept them until
they expire.`,
  takes: [1, 1],
  options: {},
  run: async (context, [who = '']) => {
    const opened = await context.open()
    const sessions_ended = await disableUser(opened, opened.operation(), who)
    const user = await findUser(opened.db, who)
    const text = `Disabled ${context.paint('bold', user.email)}; ${count(sessions_ended, 'session')} ended. Access tokens that are out expire within ${opened.config.ACCESS_TOKEN_SECONDS} s.`
    return { json: { user: toJson(user), sessions_ended }, text }
  },
})

const enable = command({
  name: 'users enable',
  usage: '<email|id>',
  summary: 'let an account sign in again, after a disable or too many failures',
  takes: [1, 1],
  options: {},
  run: async (context, [who = '']) => {
    const opened = await context.open()
    const enabled = await enableUser(opened, opened.operation(), who)
    const user = await findUser(opened.db, who)
    if (!enabled)
      throw new Failure(
        EXIT.failed,
        `${user.email} was disabled again meanwhile, and stays so: the same command enables it`,
      )
    return {
      json: { user: toJson(user) },
      text: `Enabled ${context.paint('bold', user.email)}: it may sign in, and no failure counts against it.`,
    }
  },
})

const email = command({
  name: 'users email',
  usage: '<email|id> <new address>',
  summary: 'give an account another address',
  details: `Nobody has to prove that the new address is theirs: it counts as not verified. Where mail is set up, the old one is told.
Sessions go on, the password stays, and failed sign-ins are forgotten; links that were mailed are good for nothing. Who is
signed in sees the new address at the next refresh.`,
  takes: [2, 2],
  options: {},
  run: async ({ open, paint }, [who = '', address = '']) => {
    const wanted = normaliseEmail(address)
    const opened = await open()
    const { id } = await findUser(opened.db, who)
    const { before, after } = await changeEmail(opened, opened.operation(), id, wanted)
    const changed = before !== after
    const text = changed
      ? `Changed the address ${before} to ${paint('bold', after)}, which counts as not verified.`
      : `Nothing to change: ${paint('bold', after)} is the address.`
    return { json: { user: toJson(await findUser(opened.db, id)), before, after, changed }, text }
  },
})

const remove = command({
  name: 'users delete',
  usage: '<email|id> [--yes]',
  summary: 'delete an account for good, and end its sessions',
  details: `Its address is free again. The audit trail keeps what it says of the account, under its id and without an address.
Services that follow the revocation feed refuse access tokens that are out within seconds; others accept them until they
expire. To lock somebody out and keep the account: “claviger users disable”.

  --yes   do not ask`,
  takes: [1, 1],
  options: { yes: { type: 'boolean' } },
  run: async ({ io, open, paint }, [who = ''], { yes = false }) => {
    const ask = consent(io, yes)
    const opened = await open()
    const { id, email: address } = await findUser(opened.db, who)
    await ask(`${address} is deleted for good, and its sessions end.`)
    const sessions_ended = await deleteUser(opened, opened.operation(), id)
    const text = `Deleted ${paint('bold', address)}; ${count(sessions_ended, 'session')} ended. Access tokens that are out expire within ${opened.config.ACCESS_TOKEN_SECONDS} s.`
    return { json: { id, email: address, sessions_ended }, text }
  },
})

export const accountCommands = [disable, enable, password, email, remove]
