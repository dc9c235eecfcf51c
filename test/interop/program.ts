import { fileURLToPath } from 'node:url'

/** What a program of another language, or a gateway, is asked. */
export interface Job {
  /** `http://127.0.0.1:PORT`, without a slash at the end. Discovery works there, at both well-known paths. */
  issuer: string
  audience: string
  tokens: { name: string; token: string }[]
  /** Fires when time is up or somebody has pressed Ctrl-C. */
  signal: AbortSignal
  /** Empty, of this job alone, removed after it. For the configuration of a gateway. */
  folder: string
}

export interface Trial {
  /** Of a database that is migrated, for servers that the program needs. */
  databaseUrl: string
  signal: AbortSignal
}

/** One for each token, in the same order. */
export interface Verdict {
  name: string
  accepted: boolean
  /** What the library said. For people; nothing depends on it. */
  error?: string
}

/** Reads lines `{"name","token"}` on standard input and writes the verdicts as lines; ISSUER and AUDIENCE are set. */
export interface Command {
  file: string
  args?: string[]
  cwd?: string
  env?: Record<string, string>
}

/** Runs a command to its end. @throws Error with the end of its output if it fails or is aborted. */
export type Run = (command: Command, input?: string) => Promise<string>

export interface Program {
  /** As given to `npm run test:interop -- <name>`: `python-pyjwt`. */
  name: string
  /** As in the table of docs/verify.md: `Python: PyJWT`. */
  title: string
  /** @returns why it cannot run here (`no go on this machine`), or undefined if it can. Quick; installs nothing. */
  detect(run: Run): Promise<string | undefined>
  /** Installs and builds what is missing. Quick when nothing is. */
  prepare(run: Run): Promise<void>
  /** Of the libraries as they are installed: `PyJWT 2.10.1, cryptography 46.0.1`. After prepare(). */
  versions(run: Run): Promise<string>
  /** Verifies all tokens of a job: a command, or for a gateway a function that starts it, asks it and ends it. */
  check?: Command | ((job: Job, run: Run) => Promise<Verdict[]>)
  /** What it has to do besides judging tokens. Rejects with what went wrong. */
  trial?(trial: Trial): Promise<void>
  /**
   * Vectors that it judges otherwise than it should, with the reason. Only what no setting of the library or line in
   * the snippet can mend; docs/verify.md says it too.
   */
  known: Record<string, string>
}

/** Git-ignored. Each program keeps what it installs and builds in a folder of its own here. */
export const workFolder = (name: string): string => fileURLToPath(new URL(`./.work/${name}`, import.meta.url))

/** The folder of the program's own files. */
export const sourceFolder = (name: string): string => fileURLToPath(new URL(`./${name}`, import.meta.url))
