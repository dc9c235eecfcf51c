import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '../..')
const follow = pathToFileURL(join(root, 'dev/follow-parent.mjs')).href

/**
 * The orders service in a process of its own, as a service is. It ends with this one, even if this one is killed.
 * @param settings its environment
 * @returns what ends it, once it listens.
 */
export async function startOrders(settings: Record<string, string>): Promise<() => Promise<unknown>> {
  const { PATH = '' } = process.env
  const child = spawn(process.execPath, ['--import', follow, join(root, 'examples/orders/main.ts')], {
    env: { PATH, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Of its own group: Ctrl-C is for us, and we end it when the page is gone.
    detached: true,
  })
  const ended = once(child, 'exit')
  const ready = once(child.stdout, 'data').then(() => true)
  if (!(await Promise.race([ready, ended.then(() => false)]))) throw new Error('the orders service did not start')
  child.stdout.resume()
  return () => {
    child.kill('SIGTERM')
    return ended
  }
}
