'use client'

import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useContext,
  useMemo,
  useSyncExternalStore,
} from 'react'
import type { Client } from './types.ts'

const Context = createContext<Client | undefined>(undefined)

export interface ProviderProps {
  /** Made once, outside of components: `createClient(…)` at the top of a module. */
  client: Client
  children?: ReactNode
}

/** Gives its client to all components below. It does not close it: StrictMode, and pages that come back, mount it again. */
export function ClavigerProvider({ client, children }: ProviderProps): ReactElement {
  return createElement(Context, { value: client }, children)
}

/**
 * The client, with the `state`, `user` and `cause` of this render; whenever one of them changes, the component is rendered
 * anew. On a server, and in the browser until its markup has been taken over, `state` is `loading`.
 * @throws Error outside of a `ClavigerProvider`.
 */
export function useAuth(): Client {
  const client = useContext(Context)
  if (!client) throw new Error('useAuth: there is no ClavigerProvider above this component')
  const state = useSyncExternalStore(
    client.onChange,
    () => client.state,
    () => 'loading' as const,
  )
  const user = useSyncExternalStore(
    client.onChange,
    () => client.user,
    () => null,
  )
  const cause = useSyncExternalStore(
    client.onChange,
    () => client.cause,
    () => undefined,
  )
  return useMemo(() => ({ ...client, state, user, cause }), [client, state, user, cause])
}
