import { platform } from './platform.ts'

/**
 * The token of the link in a mail, from `…#token=…`. It is taken out of the address bar, where it would be copied along
 * with the address, and out of the history; so the second call has none. Call it once, outside of components.
 * @returns undefined if the address has none.
 */
export function takeToken(): string | undefined {
  const { history, location } = platform
  // Also where a router keeps its path in the fragment: `#/reset?token=…`.
  const [found, token] = /[#?&]token=([\w-]+)$/.exec(location?.hash ?? '') ?? []
  if (found) history.replaceState(history.state, '', location?.href.slice(0, -found.length))
  return token
}
