-- What may happen to an audit event after it is written, and nothing else may: a role that only serves has the right to
-- INSERT and SELECT in audit, and to call these two. They run with the rights of the owner. Their bodies are parsed here,
-- once: what a caller has in its search path or its temporary schema cannot change what a name in them means.

-- A refusal that came again in the same minute. Only the count of such an event can rise, and only while it is young: what
-- is an hour old is final.
CREATE FUNCTION audit_count_again(event uuid, times integer) RETURNS void
LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  UPDATE audit SET details = jsonb_set(details, '{count}', to_jsonb((details -> 'count')::bigint + times))
  WHERE id = event AND times > 0 AND jsonb_typeof(details -> 'count') = 'number'
    AND at > clock_timestamp() - interval '1 hour';
END;

-- Retention. Whatever the caller asks for, nothing goes that is younger than 30 days by the clock of the database.
-- Returns how many events were deleted.
CREATE FUNCTION audit_delete_old(before timestamptz, batch integer) RETURNS integer
LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  WITH deleted AS (
    DELETE FROM audit WHERE id IN (
      SELECT id FROM audit WHERE at < least(before, clock_timestamp() - interval '30 days')
      ORDER BY at LIMIT batch FOR UPDATE SKIP LOCKED
    )
    RETURNING id
  )
  SELECT count(*)::integer FROM deleted;
END;

REVOKE ALL ON FUNCTION audit_count_again(uuid, integer), audit_delete_old(timestamptz, integer) FROM PUBLIC;
