// What of Next.js is used here. It is no development dependency: it weighs more than all others together, and whoever builds
// against the package has the real one. The recipe's test does.

declare module 'next/headers.js' {
  interface CookieStore {
    getAll(): { name: string; value: string }[]
    set(cookie: { name: string; value: string }): unknown
  }
  export function cookies(): Promise<CookieStore>
  export function headers(): Promise<Headers>
}

declare module 'next/server.js' {
  export class NextResponse extends Response {
    static next(init: { request: { headers: Headers } }): NextResponse
  }
}
