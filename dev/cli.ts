// npm run cli -- <command>: the operator's command line, on the database that npm start uses.
import { fillEnvironment } from './environment.ts'

let close: (() => Promise<void>) | undefined
const fill = async (): Promise<Record<string, string>> => {
  // stdout belongs to the command, which may write JSON.
  const filled = await fillEnvironment(process.env, (line) => console.error(`claviger: ${line}`))
  close = filled.close
  return filled.sources
}

const { main } = await import('../src/cli/main.ts')
try {
  process.exitCode = await main(process.argv.slice(2), process.env, process, fill)
} finally {
  await close?.()
}
process.exit()
