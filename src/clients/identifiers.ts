import { randomBytes } from '../random.ts'

/** Assigned by us and never chosen. Its form is that of no user’s id, which is a UUID, and of no built-in client’s. */
const CLIENT_ID = /^cl_[A-Za-z0-9_-]{22}$/

export function newClientId(): string {
  return `cl_${randomBytes(16).toString('base64url')}`
}

export function isClientId(text: string): boolean {
  return CLIENT_ID.test(text)
}
