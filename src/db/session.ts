/**
 * What the program relies on, whatever an administrator has set for the database or the role: times as the driver reads
 * them, a NULL in an array that is a NULL, the isolation for which statements and transactions are written, and connections
 * that end when the pool ends them.
 *
 * `SET`, because a pooler may refuse parameters of the connection that it does not know. What is not here is the
 * administrator's: `search_path`; read-only, which must stay seen; and `synchronous_commit`, which has values stronger than
 * `on` (`doctor` warns where it is off).
 */
export const STATE_SESSION = `
  SET DateStyle = 'ISO';
  SET IntervalStyle = 'postgres';
  SET TimeZone = 'UTC';
  SET client_encoding = 'UTF8';
  SET standard_conforming_strings = on;
  SET bytea_output = 'hex';
  SET array_nulls = on;
  SET default_transaction_isolation = 'read committed';
  SET idle_session_timeout = 0`
