// npm run cli -- <command>: the operator's command line, on the database that npm start uses.
import { fillEnvironment } from './environment.ts'

// stdout belongs to the command, which may write JSON.
const close = await fillEnvironment(process.env, (line) => console.error(`claviger: ${line}`))
const { main } = await import('../src/cli/main.ts')
try {
  process.exitCode = await main(process.argv.slice(2), process.env)
} finally {
  await close()
}
process.exit()
