// npm run cli -- <command>: the operator's command line, on the database that npm start uses.
import { fillEnvironment } from './environment.ts'

let close: (() => Promise<void>) | undefined
const fill = async (): Promise<void> => {
  // stdout belongs to the command, which may write JSON.
  close = await fillEnvironment(process.env, (line) => console.error(`claviger: ${line}`))
}

const { main } = await import('../src/cli/main.ts')
try {
  process.exitCode = await main(process.argv.slice(2), process.env, process, fill)
} finally {
  await close?.()
}
process.exit()
