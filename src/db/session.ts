/**
 * Settings that the program relies on, whatever an administrator has set for the database or the role: dates in the
 * format that the driver reads, NULLs in arrays, the isolation level for which statements and transactions are written,
 * and connections that only the pool ends (PostgreSQL 15 and 16 have no transaction_timeout).
 *
 * They are set by `SET`, because a pooler may refuse connection parameters that it does not know. The rest is up to the
 * administrator: `search_path`; read-only, which the server must be able to see; and `synchronous_commit`, which has
 * values stronger than `on` (`doctor` warns if it is off).
 */
export const STATE_SESSION = `
  SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL;
  SET DateStyle = 'ISO';
  SET IntervalStyle = 'postgres';
  SET TimeZone = 'UTC';
  SET client_encoding = 'UTF8';
  SET standard_conforming_strings = on;
  SET bytea_output = 'hex';
  SET array_nulls = on;
  SET default_transaction_isolation = 'read committed';
  SET idle_session_timeout = 0`

/**
 * Told in the same round trip. What PostgreSQL reports of itself at the start of a connection (`in_hot_standby`) would cost
 * none either, but a pooler welcomes its clients with what it has noted of a connection of its own, perhaps long ago.
 */
export const TELL_STATE = `
  SELECT pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS "readOnly"`
