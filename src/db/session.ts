/**
 * What the program relies on, whatever an administrator has set for the database or the role: times as the driver reads
 * them, a NULL in an array that is a NULL, the isolation for which statements and transactions are written, and
 * connections that end when the pool ends them (PostgreSQL 15 and 16 know no transaction_timeout).
 *
 * `SET`, because a pooler may refuse parameters of the connection that it does not know. What is not here is the
 * administrator's: `search_path`; read-only, which must stay seen; and `synchronous_commit`, which has values stronger than
 * `on` (`doctor` warns where it is off).
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
