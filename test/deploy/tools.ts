import { execFile } from 'node:child_process'
import { findProgram } from '../support/middleman.ts'

/**
 * A program that judges or runs what is in deploy/. Where it is absent, its tests are skipped, and that is said; in CI, which
 * installs all of them, they fail. @throws Error there.
 */
export function findTool(name: string): string | undefined {
  const found = findProgram(name)
  if (found !== undefined) return found
  if (process.env.CI) throw new Error(`There is no ${name}, and in CI what it judges must be judged.`)
  console.warn(`skipped: there is no ${name} on this machine`)
  return undefined
}

/** Runs a program to its end. @returns its exit code, and all that it said. */
export function judge(program: string, args: string[]): Promise<{ code: number; said: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, said: `${stdout}${stderr}`.trim() })
    })
  })
}
