import { PassThrough, Readable } from 'node:stream'
import { main } from '../../src/cli/main.ts'

/**
 * Runs one of the operator's commands in this process.
 * @param env settings of the server, which has migrated its database
 * @param typed the first line of standard input
 */
export async function operator(
  env: NodeJS.ProcessEnv,
  argv: string[],
  typed = '',
): Promise<{ code: number; output: string }> {
  const output = new PassThrough()
  const code = await main(argv, env, { stdin: Readable.from([`${typed}\n`]), stdout: output, stderr: output })
  return { code, output: String(output.read() ?? '') }
}
