import { spawn } from 'node:child_process'
import type { Command, Run } from './program.ts'

/**
 * Runs commands in process groups of their own: build tools start others, and all of them end with the signal.
 * @returns a Run whose errors hold the last lines of what the command wrote.
 */
export function createRun(signal: AbortSignal, env: Record<string, string> = {}): Run {
  return (command, input = '') => runCommand(command, input, env, signal)
}

function runCommand(command: Command, input: string, env: Record<string, string>, signal: AbortSignal) {
  return new Promise<string>((resolve, reject) => {
    if (signal.aborted) return reject(reasonOf(signal))
    const child = spawn(command.file, command.args ?? [], {
      cwd: command.cwd,
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, ...command.env },
    })
    const out: Buffer[] = []
    const all: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => {
      out.push(chunk)
      all.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => void all.push(chunk))
    const endGroup = () => {
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
    signal.addEventListener('abort', endGroup, { once: true })
    // A program that ends before it has read everything says why in its output, not here.
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    child.once('error', (error) => {
      signal.removeEventListener('abort', endGroup)
      reject(error)
    })
    child.once('close', (code, by) => {
      signal.removeEventListener('abort', endGroup)
      if (signal.aborted) return reject(reasonOf(signal))
      if (code === 0) return resolve(Buffer.concat(out).toString())
      const tail = Buffer.concat(all).toString().trimEnd().split('\n').slice(-15).join('\n')
      reject(new Error(`${command.file} ${command.args?.join(' ') ?? ''} ended with ${code ?? by}:\n${tail}`))
    })
  })
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason))
}
