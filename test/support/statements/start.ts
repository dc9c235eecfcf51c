import { CANARY_FOLDER } from '../canary.ts'
import { collect } from './collect.ts'

// A server has no setting for it: it is told by the name under which it loads this.
const folder = new URL(import.meta.url).searchParams.get('folder') ?? process.env[CANARY_FOLDER]
if (folder) collect(folder)
