/**
 * Statements of a server for one machine, none of which a cluster runs: each is good SQL, and looks as if it could be distributed.
 */
export const REFUSED: Readonly<Record<string, string>> = {
  'rotates sessions: adds an interval to a column': String.raw`
  WITH a (family, generation, hash, delivery, client_id, next_hash, salt, arrived_at, key_hash, jkt, asked_scope, asked_audience) AS MATERIALIZED (
    SELECT * FROM unnest($4::uuid[], $5::int[], $6::bytea[], $7::text[], $8::text[], $9::bytea[], $10::bytea[],
      $11::timestamptz[], $12::bytea[], $13::text[], $14::text[], $15::text[])
  ), clients (id, scopes, audiences) AS MATERIALIZED (
    SELECT id, string_to_array(scopes, ' '), string_to_array(audiences, ' ')
    FROM unnest($16::text[], $17::text[], $18::text[]) AS c (id, scopes, audiences)
  ), free AS MATERIALIZED (
    SELECT f.id FROM families f WHERE f.id = ANY ($4) FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE families f SET
    generation = f.generation + 1,
    current_hash = a.next_hash,
    previous_generation = f.generation,
    previous_hash = f.current_hash,
    salt = a.salt,
    rotated_at = $1::timestamptz,
    rotation_key_hash = a.key_hash,
    retry_streak = CASE WHEN f.retried THEN f.retry_streak ELSE 0 END,
    retried = false,
    window_started_at = CASE WHEN f.window_started_at > $2::timestamptz THEN f.window_started_at ELSE $1 END,
    window_count = CASE WHEN f.window_started_at > $2 THEN f.window_count + 1 ELSE 1 END
  FROM a, free, clients c, users u
  WHERE free.id = a.family
    AND f.id = a.family
    AND f.generation = a.generation
    AND f.current_hash = a.hash
    AND f.delivery = a.delivery
    AND (f.dpop_jkt IS NULL OR f.dpop_jkt = a.jkt)
    AND (a.client_id IS NULL OR f.client_id = a.client_id)
    AND f.ended_at IS NULL
    AND f.expires_at > $1
    AND f.rotated_at + f.idle_seconds * interval '1 second' > a.arrived_at
    AND (f.window_count < $3::int OR f.window_started_at <= $2)
    AND (a.asked_scope IS NULL OR string_to_array(a.asked_scope, ' ') <@ f.scope)
    AND (a.asked_audience IS NULL OR string_to_array(a.asked_audience, ' ') <@ f.audience)
    AND c.id = f.client_id
    AND coalesce(string_to_array(a.asked_scope, ' '), f.scope) && c.scopes
    AND coalesce(string_to_array(a.asked_audience, ' '), f.audience) && c.audiences
    AND u.id = f.user_id AND u.disabled_at IS NULL
    AND octet_length(u.claims::text) + octet_length(to_json(u.roles)::text) <= $19::int
  RETURNING f.id, f.client_id, f.delivery, f.remember, f.scope, f.audience, f.amr, f.auth_time, f.rotated_at, f.expires_at,
    f.idle_seconds, f.dpop_jkt, u.id AS user_id, u.email, u.email_verified, u.roles, u.claims`,
  'counts an attempt: steps through an index by recursion': String.raw`
    WITH RECURSIVE account AS (
      SELECT * FROM users WHERE "email" = $1
    ), known AS (
      SELECT identifier FROM unnest(
        $2::uuid[], $3::bytea[]
      ) AS device (user_id, identifier) JOIN account ON account.id = device.user_id LIMIT 1
    ), counter AS (
      SELECT identifier, true AS of_device FROM known UNION ALL
      SELECT unnest($4::bytea[]), false WHERE NOT EXISTS (SELECT FROM known)
    ), held AS MATERIALIZED (
  SELECT identifier_hash, failures, blocked_until FROM login_failures
  WHERE identifier_hash = ANY(ARRAY(SELECT identifier FROM counter)) ORDER BY identifier_hash FOR UPDATE), so_far AS (
      SELECT coalesce(max(failures), 0) AS failures, coalesce(max(blocked_until), $5) AS blocked_until FROM held
    ), counted AS (
      INSERT INTO login_failures AS f
        (identifier_hash, of_device, user_id, failures, in_flight, blocked_until, last_attempt_at)
      SELECT identifier, of_device, (SELECT id FROM account), so_far.failures + 1, 1,

    CASE WHEN (so_far.failures + 1) >= $6::int THEN $7::timestamptz + interval '1 second'
      * least($8::int, $9::int * 2 ^ least(20, (so_far.failures + 1) - $10::int))
    ELSE $11::timestamptz END, $12
      FROM so_far, counter
      WHERE so_far.blocked_until <= $13 ORDER BY identifier
      ON CONFLICT (identifier_hash) DO UPDATE SET
        user_id = EXCLUDED.user_id,
        failures = greatest(f.failures + 1, EXCLUDED.failures),
        in_flight = 1 + CASE WHEN f.last_attempt_at > $14 THEN f.in_flight ELSE 0 END,
        blocked_until =
    CASE WHEN greatest(f.failures + 1, EXCLUDED.failures) >= $15::int THEN $16::timestamptz + interval '1 second'
      * least($17::int, $18::int * 2 ^ least(20, greatest(f.failures + 1, EXCLUDED.failures) - $19::int))
    ELSE $20::timestamptz END,
        last_attempt_at = $21
      WHERE f.blocked_until <= $22
      RETURNING failures, blocked_until
    ), reserved AS (
      SELECT max(failures) AS failures, max(blocked_until) AS blocked_until FROM counted
      HAVING count(*) = (SELECT count(*) FROM counter)
    ), others AS (
      SELECT
  coalesce(sum(failures) FILTER (WHERE of_device), 0)
    + coalesce(max(failures) FILTER (WHERE NOT of_device), 0) AS failures FROM login_failures WHERE user_id = (SELECT id FROM account)
        AND (of_device OR identifier_hash = ANY($23::bytea[]))
        AND identifier_hash <> ALL(ARRAY(SELECT identifier FROM counter))
    ), in_use AS (
  (
    SELECT substring("password_hash" FROM '^\$argon2id\$v=19\$([^$]*)\$') AS parameters, 1 AS step FROM users
    WHERE substring("password_hash" FROM '^\$argon2id\$v=19\$([^$]*)\$') IS NOT NULL ORDER BY 1 LIMIT 1
  ) UNION ALL SELECT (
    SELECT substring("password_hash" FROM '^\$argon2id\$v=19\$([^$]*)\$') FROM users
    WHERE substring("password_hash" FROM '^\$argon2id\$v=19\$([^$]*)\$') > in_use.parameters ORDER BY 1 LIMIT 1
  ), step + 1 FROM in_use WHERE parameters IS NOT NULL AND step < 32)
    SELECT reserved.failures, (reserved.failures + others.failures)::int AS "ofAccount",
      reserved.blocked_until AS "blockedUntil", "u"."id" AS "id", "u"."email" AS "email", "u"."email_verified" AS "emailVerified", "u"."must_verify" AS "mustVerify", "u"."password_hash" AS "passwordHash", "u"."roles" AS "roles", "u"."claims" AS "claims", "u"."disabled_at" AS "disabledAt", "u"."password_disabled_at" AS "passwordDisabledAt", "u"."signed_in_at" AS "signedInAt", "u"."locale" AS "locale", "u"."created_at" AS "createdAt", (SELECT identifier FROM known) AS device,
      ARRAY(SELECT parameters FROM in_use WHERE parameters IS NOT NULL) AS "inUse"
    FROM others LEFT JOIN reserved ON true LEFT JOIN account AS u ON true`,
  'prunes sessions: locks rows wherever they lie': String.raw`
    DELETE FROM "families" WHERE ("id") IN (
      SELECT "id" FROM "families" WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )`,
  'looks at statistics: has a subquery without columns': String.raw`
    SELECT
      n_tup_upd::float8 AS updates,
      n_tup_hot_upd::float8 AS "hotUpdates",
      -- The statistics are seconds late, and know nothing of a table that was restored: a few rows are counted instead.
      CASE WHEN counted > 10000 THEN greatest(n_live_tup, counted) ELSE counted END::float8 AS live,
      n_dead_tup::float8 AS dead,
      pg_total_relation_size(relid)::float8 AS bytes
    FROM pg_stat_user_tables,
      (SELECT count(*) AS counted FROM (SELECT FROM "families" LIMIT 10001) AS limited) AS few
    WHERE relid = $1::regclass`,
  'counts what can be pruned: a subquery without columns': String.raw`
    SELECT count(*)::int AS count FROM (SELECT FROM families WHERE expires_at < $1 LIMIT $2) AS expired`,
  'lists ended sessions: asks for a family by each row of the trail': String.raw`
    WITH kept AS (
      SELECT f.id, f.user_id, f.client_id, f.created_at, f.user_agent,
        coalesce(f.ended_at, least(f.expires_at, (f.rotated_at + f.idle_seconds * interval '1 second'))) AS at,
        coalesce(f.end_cause, CASE WHEN f.expires_at <= (f.rotated_at + f.idle_seconds * interval '1 second') THEN 'absolute' ELSE 'idle' END) AS cause
      FROM families AS f WHERE NOT (f.ended_at IS NULL AND f.expires_at > $1 AND (f.rotated_at + f.idle_seconds * interval '1 second') > $2) AND true
      ORDER BY at DESC LIMIT $3
    ), pruned AS (
      SELECT a.family_id, a.user_id, start.client_id, start.at AS created_at, start.user_agent, a.at, a.reason
      FROM audit AS a LEFT JOIN LATERAL (
        SELECT client_id, at, user_agent FROM audit
        WHERE family_id = a.family_id AND type = 'login' AND outcome = 'success' ORDER BY at LIMIT 1
      ) AS start ON true
      WHERE a.type = 'session.ended' AND NOT EXISTS (SELECT FROM families WHERE id = a.family_id) AND true
      ORDER BY a.at DESC LIMIT $4
    ), ended AS (SELECT * FROM kept UNION ALL SELECT * FROM pruned ORDER BY at DESC, id DESC LIMIT $5)
    SELECT ended.id, ended.user_id AS "userId", u.email, ended.client_id AS "clientId", ended.created_at AS "createdAt",
      ended.at AS "endedAt", ended.cause, event.address AS "endedFrom", ended.user_agent AS "userAgent"
    FROM ended LEFT JOIN users AS u ON u.id = ended.user_id LEFT JOIN LATERAL (
      SELECT address FROM audit WHERE family_id = ended.id AND type = 'session.ended' ORDER BY at DESC LIMIT 1
    ) AS event ON true
    ORDER BY ended.at DESC, ended.id DESC`,
}
