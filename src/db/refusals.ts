/** OpenSSL's codes for a certificate that no trusted authority has signed. */
const SIGNED_BY_A_STRANGER =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/

/** What to change if the connection failed because of the settings. Trying again is then of no use. */
export function explainRefusal(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, routine } = error as { code?: unknown; routine?: unknown }
  // The driver's message if the server wants SCRAM; PostgreSQL's routine if it wants the password in the clear.
  if (/client password must be a (non-empty )?string/.test(error.message) || routine === 'recv_password_packet')
    return 'DATABASE_URL has no password, and neither PGPASSWORD nor .pgpass gives one'
  if (SIGNED_BY_A_STRANGER.test(String(code)))
    return 'the certificate of the database is of an authority that is not known here: name its certificate with sslrootcert in DATABASE_URL'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'the certificate of the database is for another name than the host in DATABASE_URL'
  if (error.message === 'The server does not support SSL connections')
    return 'the database offers no TLS, but DATABASE_URL says sslmode=verify-full'
  const [, parameter] = /unsupported startup parameter: (\w+)/i.exec(error.message) ?? []
  if (parameter !== undefined)
    return `PgBouncer refuses the parameter ${parameter}: name it in ignore_startup_parameters, as in docs/scaling.md#pgbouncer`
  return undefined
}
