export interface DemoConfig {
  /** Base URLs. */
  issuer: string
  orders: string
  /** An account to look around with. */
  demo: {
    email: string
    /** Where its password is, in a sentence. */
    hint: string
    /** Its phone signs in without being given the password. */
    hasPhone: boolean
  } | null
  /** Whether Claviger sends mail. */
  mail: boolean
  /** Whether it can be seen at /inbox.json. */
  inbox: boolean
}

/** Where the two servers are. It is asked for at run time, so that one build serves every environment. */
export async function loadConfig(): Promise<DemoConfig> {
  const reply = await fetch('/config.json')
  if (!reply.ok) throw new Error(`config.json: ${reply.status}`)
  return (await reply.json()) as DemoConfig
}
