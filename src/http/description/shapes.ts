/** The part of JSON Schema that is read here. */
export interface Schema {
  $ref?: string
  type?: string
  properties?: Record<string, Schema>
  required?: string[]
  [keyword: string]: unknown
}
interface Media {
  schema?: Schema
  examples?: Record<string, { value: unknown }>
}
export interface Reply {
  description: string
  headers?: Record<string, { description: string; schema: Schema }>
  content?: Record<string, Media>
}
export interface OperationObject {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: { name: string; in: 'query' | 'header' | 'path' }[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, Reply>
  security?: Record<string, string[]>[]
}
/** The part of OpenAPI 3.1 that is read here. */
export interface OpenApi {
  openapi: string
  info: { title: string }
  servers: { url: string }[]
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, OperationObject>>
}
