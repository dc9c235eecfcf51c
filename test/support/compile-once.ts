import AjvCompiler from '@fastify/ajv-compiler'
import SerializerSelector from '@fastify/fast-json-stringify-compiler'

/** What Fastify itself compiles with. */
const ajv = AjvCompiler()
const fastJson = SerializerSelector()

const compiled = new Map<string, unknown>()

/** @param key all that the result depends on, which is JSON. */
function once<T>(key: unknown[], compile: () => T): T {
  const text = JSON.stringify(key)
  const result = (compiled.get(text) as T | undefined) ?? compile()
  compiled.set(text, result)
  return result
}

const buildValidator: typeof ajv = (externals, options) => {
  const compile = ajv(externals, options)
  return (route) => once(['validator', externals, options?.customOptions, schemaOf(route)], () => compile(route))
}

const buildSerializer: typeof fastJson = (externals, options) => {
  const compile = fastJson(externals, options)
  return (route) => once(['serializer', externals, options, schemaOf(route)], () => compile(route))
}

const schemaOf = (route: unknown): unknown => (route as { schema: unknown }).schema

/** A server compiles its schemas when it starts. In a process of the tests hundreds start, and all have the same. */
export const compileOnce = { compilersFactory: { buildValidator, buildSerializer } }
