import { readdirSync } from 'node:fs'

/** Names of all migrations, in order. */
export const MIGRATIONS = readdirSync(new URL('../../migrations/', import.meta.url))
  .flatMap((file) => (file.endsWith('.sql') ? [file.slice(0, -'.sql'.length)] : []))
  .toSorted()
