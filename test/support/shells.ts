import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Shells into which people paste, each without the files that would change it, and as it is at a prompt. */
const SHELLS = {
  sh: ['-i'],
  bash: ['--norc', '--noprofile', '-i'],
  // Of these three the one that takes no comments there.
  zsh: ['-f', '-i'],
}

export type Shell = keyof typeof SHELLS
export const shells = Object.keys(SHELLS) as Shell[]

export function isInstalled(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

interface Pasted {
  /** Standard output of what was pasted. */
  out: string
  /** What the shell itself complained of. */
  complaints: string[]
}

/** Gives an interactive shell a text line by line, as pasting does, and waits until it has done everything. */
export async function paste(shell: Shell, text: string, cwd: string, env: Record<string, string>): Promise<Pasted> {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(shell, SHELLS[shell], { cwd, env: { PATH, HOME, TERM: 'dumb', ...env } })
  const written = { out: '', err: '' }
  child.stdout.on('data', (chunk) => (written.out += chunk))
  child.stderr.on('data', (chunk) => (written.err += chunk))
  child.stdin.end(`${text}\nexit\n`)
  await new Promise((done) => child.once('close', done))
  const complaint =
    /not found|parse error|syntax error|unexpected|no matches|no such event|bad (pattern|option)|illegal/i
  return { out: written.out, complaints: written.err.split('\n').filter((line) => complaint.test(line)) }
}
