import { createEntrance } from './entrance.ts'
import { createPost } from './issuer.ts'
import { createJar } from './jar.ts'
import { type Options, prepare, type Settings } from './options.ts'
import { createSessions } from './sessions.ts'

export interface Core extends ReturnType<typeof createEntrance> {
  settings: Settings
  sessions: ReturnType<typeof createSessions>
}

/** The parts that every adapter uses, created at the first use. @throws TypeError for options that make no sense. */
export function createCore(options: Options): () => Core {
  const settingsOf = prepare(options)
  let core: Core | undefined
  return () => (core ??= build(settingsOf()))
}

function build(settings: Settings): Core {
  const jar = createJar(settings)
  const post = createPost(settings)
  const sessions = createSessions(settings, jar, post)
  return { settings, sessions, ...createEntrance(settings, { jar, sessions, post }) }
}
