// Preloaded by run.mjs: when run.mjs was killed without a chance to pass the signal on, its program shuts down too.
const parent = process.ppid
setInterval(() => {
  if (process.ppid === parent) return
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.exit(1), 30_000).unref()
}, 1000).unref()
