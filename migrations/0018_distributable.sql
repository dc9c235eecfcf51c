-- What statements need so that a database that is spread over machines runs them, and quickly (docs/adr/0034).

-- An account as part of a statement about tables that are not spread. If the statement itself named `users`, Citus would plan all of
-- it, and take fifty times as long. In PL/pgSQL, which keeps plans and which the planner does not look into.
CREATE FUNCTION user_by_id(wanted uuid) RETURNS SETOF users
LANGUAGE plpgsql STABLE STRICT ROWS 1 AS $$
BEGIN
  RETURN QUERY SELECT * FROM users WHERE id = wanted;
END $$;

CREATE FUNCTION user_by_email(wanted text) RETURNS SETOF users
LANGUAGE plpgsql STABLE STRICT ROWS 1 AS $$
BEGIN
  RETURN QUERY SELECT * FROM users WHERE email = wanted;
END $$;

-- Lock it until the transaction ends. Weaker than FOR UPDATE, so that a family that refers to it may be inserted. Every lock of an
-- account is taken by one of these, because `distribute` has them lock one copy of the row, where there are several.
-- By an advisory lock as well: where several machines commit, the coordinator frees the row before the others show what was written
-- there, and the advisory lock after. Or else who ends all sessions of a user would miss one that is just being committed.
CREATE FUNCTION locked_user(wanted uuid) RETURNS SETOF users
LANGUAGE plpgsql VOLATILE STRICT ROWS 1 AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(wanted::text, 0));
  RETURN QUERY SELECT * FROM users WHERE id = wanted FOR NO KEY UPDATE;
END $$;

CREATE FUNCTION locked_user_by_email(wanted text) RETURNS SETOF users
LANGUAGE plpgsql VOLATILE STRICT ROWS 1 AS $$
DECLARE
  holder uuid;
BEGIN
  -- Again if the address has become somebody else's while the lock was waited for.
  LOOP
    holder := (user_by_email(wanted)).id;
    EXIT WHEN holder IS NULL;
    PERFORM pg_advisory_xact_lock(hashtextextended(holder::text, 0));
    RETURN QUERY SELECT * FROM users WHERE id = holder AND email = wanted FOR NO KEY UPDATE;
    EXIT WHEN FOUND;
  END LOOP;
END $$;

-- The distinct parameters of the stored hashes, found by skipping from one to the next in users_hash_parameters_idx: `most` at
-- most, because each is a step in the index.
CREATE FUNCTION users_hash_parameters(most integer) RETURNS text[]
LANGUAGE plpgsql STABLE STRICT AS $$
DECLARE
  latest text := '';
  found text[] := '{}';
BEGIN
  FOR step IN 1..most LOOP
    SELECT substring(password_hash FROM '^\$argon2id\$v=19\$([^$]*)\$') INTO latest FROM users
    WHERE substring(password_hash FROM '^\$argon2id\$v=19\$([^$]*)\$') > latest ORDER BY 1 LIMIT 1;
    EXIT WHEN latest IS NULL;
    found := found || latest;
  END LOOP;
  RETURN found;
END $$;

-- A refresh measures roles by a function that takes no NULL. Not validated: the program writes none, and reading the whole table
-- would hold up sign-ins.
ALTER TABLE users ADD CONSTRAINT users_roles_are_named CHECK (array_position(roles, NULL) IS NULL) NOT VALID;
