import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { LongestFirst, NameUnknown } from './test/support/longest-first.ts'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    // Notes what is sent to the database, for the inspection at the end.
    setupFiles: ['test/support/statements/start.ts'],
    // Processes, not threads: argon2 and the native database clients of one file cannot disturb another's.
    pool: 'forks',
    // The files that a process runs share what they import: a process for each would load and warm up as long as many of them run.
    // Nothing in src/ keeps a state of its own, and what a test changes of the process, it changes back.
    isolate: false,
    // Of hundreds of small files, which every test file would load anew.
    deps: { optimizer: { ssr: { enabled: true, include: ['kysely', 'typebox'] } } },
    // More than cores: tests that wait for a timer, a hash or the database leave half of each idle.
    maxWorkers: Math.min(4, availableParallelism() + 2),
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new NameUnknown()],
    // What a test replaces is as before for the next one, in whichever file that is.
    restoreMocks: true,
    testTimeout: 30_000,
    // What is waited for is a matter of milliseconds; a second, the default, is too little where a machine is busy with other work.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
  },
})
