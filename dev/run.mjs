#!/usr/bin/env node
// Runs a TypeScript file of this repository, or a tool of node_modules, on the Node that package.json pins:
//   node dev/run.mjs <file.ts> [arguments]      node dev/run.mjs --bin <tool> [arguments]
// In a fresh clone it installs the dependencies first. So it is plain JavaScript, for Node 20, and imports nothing that
// an install would bring.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { basename, delimiter, dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const stampFile = join(modules, '.claviger-stamp')
const lockFile = join(root, '.claviger', 'install.lock')
const lockStaleMs = 60_000

const [first, ...rest] = process.argv.slice(2)
if (!first || (first === '--bin' && !rest[0])) {
  console.error('usage: node dev/run.mjs <file.ts> [arguments] | --bin <tool> [arguments]')
  process.exit(2)
}

/** The process that signals are passed on to: npm during an install, then the program itself. */
let child
let grandparentIsNpm
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (child) child.kill(signal)
    else process.exit(128 + constants.signals[signal])
  })
}
if (process.env.npm_lifecycle_event) {
  // npm outlives what it runs, so if it is gone it was killed. (Any other parent may well exit before us.)
  const npm = lineage()
  setInterval(() => lineage() !== npm && child?.kill('SIGTERM'), 1000).unref()
}

await installOnce()
await runPinned()

async function installOnce() {
  if (installed()) return
  fs.mkdirSync(dirname(lockFile), { recursive: true })
  for (let waiting = false; !takeLock(); waiting = true) {
    if (!waiting) console.error('claviger: waiting for another process that installs the dependencies')
    await sleep(200)
  }
  process.on('exit', releaseLock)
  // The touches tell a holder at work from one whose process id now belongs to somebody else.
  const touch = setInterval(() => fs.utimesSync(lockFile, new Date(), new Date()), 5000)
  if (!installed()) await install()
  clearInterval(touch)
  releaseLock()
  process.off('exit', releaseLock)
}

/** True if node_modules holds what package-lock.json asks for, by our stamp or by the record that npm itself keeps. */
function installed() {
  if (!pinnedNode()) return false
  const lock = fs.readFileSync(join(root, 'package-lock.json'), 'utf8')
  const stamp = createHash('sha256').update(`${lock}\0${process.platform}\0${process.arch}`).digest('hex')
  if (read(stampFile) === stamp) return true
  const record = JSON.parse(read(join(modules, '.package-lock.json')) ?? '{}').packages
  if (!record) return false
  for (const [path, wanted] of Object.entries(JSON.parse(lock).packages)) {
    const found = record[path]
    if (path === '' || (!found && (wanted.optional || wanted.devOptional || wanted.peer))) continue
    if (!found || found.version !== wanted.version || found.integrity !== wanted.integrity) return false
  }
  fs.writeFileSync(stampFile, stamp)
  return true
}

async function install() {
  console.error('claviger: installing dependencies (npm ci)')
  // npm runs on the machine's Node: ours may live in the very folder that npm ci replaces.
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((entry) => !entry.includes('node_modules'))
    .join(delimiter)
  const npm = process.env.npm_execpath ?? ''
  const node = process.env.npm_node_execpath ?? process.execPath
  const viaNode = basename(npm) === 'npm-cli.js' && !node.startsWith(modules)
  // The pinned Node and the embedded PostgreSQL are development dependencies, wanted whatever NODE_ENV says.
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  const { code } = await finished(
    spawn(viaNode ? node : 'npm', viaNode ? [npm, ...args] : args, {
      cwd: root,
      stdio: ['ignore', 2, 2],
      env: { ...process.env, PATH: path },
    }),
  )
  if (code !== 0 || !installed()) {
    console.error(code === 0 ? `claviger: npm ci left ${modules} incomplete` : 'claviger: npm ci failed')
    process.exit(code || 1)
  }
}

async function runPinned() {
  const program = first === '--bin' ? fs.realpathSync(join(modules, '.bin', rest.shift())) : resolve(root, first)
  // As src/threads.ts has it, for the tests, which do not load that.
  const cores = availableParallelism()
  const env = {
    UV_THREADPOOL_SIZE: String(cores + 4),
    NODE_COMPILE_CACHE: join(modules, '.cache', 'compile'), // a third off the time to start
    ...process.env,
  }
  const follow = pathToFileURL(join(root, 'dev', 'follow-parent.mjs')).href
  const { code, signal } = await finished(
    spawn(pinnedNode(), ['--import', follow, program, ...rest], { stdio: 'inherit', env }),
  )
  if (signal) {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    await sleep(1000)
  }
  process.exit(code ?? 1)
}

function pinnedNode() {
  const name = `node-${process.platform}-${process.arch}`
  return [
    join(modules, 'node', 'bin', 'node'),
    // Where install scripts are switched off, the binary stays in the package that brought it.
    join(modules, 'node', 'node_modules', name, 'bin', 'node'),
    join(modules, name, 'bin', 'node'),
  ].find((path) => fs.existsSync(path))
}

function finished(started) {
  child = started
  return new Promise((done) => {
    started.once('error', (error) => {
      console.error(`claviger: ${error.message}`)
      done({ code: 1, signal: null })
    })
    started.once('exit', (code, signal) => done({ code, signal }))
  }).finally(() => {
    child = undefined
  })
}

/** Our parent; and npm as its parent, where the parent is the shell that npm runs scripts in. */
function lineage() {
  const stat = read(`/proc/${process.ppid}/stat`)?.match(/\((.*)\) \S (\d+)/)
  const viaShell =
    stat && /^(da|ba)?sh$/.test(stat[1]) && (grandparentIsNpm ??= !!read(`/proc/${stat[2]}/comm`)?.startsWith('npm'))
  return viaShell ? `${process.ppid} ${stat[2]}` : String(process.ppid)
}

function takeLock() {
  try {
    fs.writeFileSync(lockFile, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  const holder = read(lockFile)
  const touched = fs.statSync(lockFile, { throwIfNoEntry: false })?.mtimeMs
  if (holder === undefined || touched === undefined) return false
  if (Date.now() - touched > lockStaleMs || (Number(holder) > 0 && !alive(Number(holder)))) removeStale(holder)
  return false
}

/** Renaming decides between two that see the same stale lock; if it caught a newer lock instead, that one goes back. */
function removeStale(holder) {
  const aside = `${lockFile}.${process.pid}`
  try {
    fs.renameSync(lockFile, aside)
    if (read(aside) !== holder) fs.linkSync(aside, lockFile)
    fs.unlinkSync(aside)
  } catch {
    // Another process was quicker.
  }
}

function releaseLock() {
  if (read(lockFile) === String(process.pid)) fs.unlinkSync(lockFile)
}

function alive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function read(path) {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
