import { boundGo, goMiddleware, nativeGo } from './go/recipes.ts'
import { spring } from './java/recipes.ts'
import type { Program } from './program.ts'
import { fastapi, nativePython } from './python/recipes.ts'

/** In the order of docs/recipes/README.md. */
export const recipes: Program[] = [fastapi, goMiddleware, boundGo, spring, nativePython, nativeGo]
