import { type RawBuilder, sql } from 'kysely'

/** The network that an address is in, which one tenant usually has: its /24, or its /48 of IPv6. Null for no address. */
export function prefixOf(address: RawBuilder<string | null>): RawBuilder<string | null> {
  return sql`network(set_masklen(${address}::inet, CASE family(${address}::inet) WHEN 4 THEN 24 ELSE 48 END))`
}
