import { apache } from './apache/program.ts'
import { golangJwt, goOidc } from './go/program.ts'
import { haproxy } from './haproxy/program.ts'
import { javaNimbus, javaSpring } from './java/program.ts'
import type { Program } from './program.ts'
import { authlib, pyjwt } from './python/program.ts'
import { rubyJwt } from './ruby/program.ts'
import { rust } from './rust/program.ts'

/** In the order of docs/verify.md. */
export const programs: Program[] = [
  pyjwt,
  authlib,
  goOidc,
  golangJwt,
  javaSpring,
  javaNimbus,
  rust,
  rubyJwt,
  haproxy,
  apache,
]
