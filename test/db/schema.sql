TABLE assertion_ids (
  client_id text NOT NULL,
  jti_hash bytea NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT assertion_ids_jti_is_sha256 CHECK ((octet_length(jti_hash) = 32)),
  CONSTRAINT assertion_ids_pkey PRIMARY KEY (client_id, jti_hash)
)
CREATE INDEX assertion_ids_expires_at_idx ON public.assertion_ids USING btree (expires_at)

TABLE audit (
  id uuid NOT NULL,
  seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at timestamp with time zone NOT NULL,
  type text NOT NULL,
  outcome text NOT NULL,
  reason text,
  actor text NOT NULL,
  user_id uuid,
  family_id uuid,
  client_id text,
  request_id text,
  address inet,
  user_agent text,
  details jsonb NOT NULL DEFAULT '{}'::jsonb,
  CONSTRAINT audit_outcome_is_known CHECK ((outcome = ANY (ARRAY['success'::text, 'failure'::text]))),
  CONSTRAINT audit_pkey PRIMARY KEY (id)
)
CREATE INDEX audit_at_idx ON public.audit USING btree (at)
CREATE INDEX audit_family_id_idx ON public.audit USING btree (family_id, at) WHERE (family_id IS NOT NULL)
CREATE INDEX audit_user_id_idx ON public.audit USING btree (user_id, at) WHERE (user_id IS NOT NULL)

TABLE claviger_migrations (
  name text NOT NULL,
  applied_at timestamp with time zone NOT NULL,
  CONSTRAINT claviger_migrations_pkey PRIMARY KEY (name)
)

TABLE client_failures (
  key_hash bytea NOT NULL,
  failures integer NOT NULL,
  blocked_until timestamp with time zone NOT NULL,
  last_failed_at timestamp with time zone NOT NULL,
  CONSTRAINT client_failures_counted CHECK ((failures > 0)),
  CONSTRAINT client_failures_key_is_hmac CHECK ((octet_length(key_hash) = 32)),
  CONSTRAINT client_failures_pkey PRIMARY KEY (key_hash)
)
CREATE INDEX client_failures_age_idx ON public.client_failures USING btree (last_failed_at)

TABLE client_secrets (
  id uuid NOT NULL,
  client_id text NOT NULL,
  slot smallint NOT NULL,
  secret_hash bytea NOT NULL,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  last_used_at timestamp with time zone,
  CONSTRAINT client_secrets_are_two CHECK ((slot = ANY (ARRAY[1, 2]))),
  CONSTRAINT client_secrets_hash_is_sha256 CHECK ((octet_length(secret_hash) = 32)),
  CONSTRAINT client_secrets_client_id_fkey FOREIGN KEY (client_id) REFERENCES clients(id) ON DELETE CASCADE,
  CONSTRAINT client_secrets_pkey PRIMARY KEY (id),
  CONSTRAINT client_secrets_slot_key UNIQUE (client_id, slot)
)

TABLE clients (
  id text NOT NULL,
  name text NOT NULL,
  type text NOT NULL,
  scopes text[],
  audiences text[],
  origins text[] NOT NULL DEFAULT '{}'::text[],
  session_idle_seconds integer,
  session_max_seconds integer,
  remember_idle_seconds integer,
  remember_max_seconds integer,
  access_token_seconds integer,
  auth_method text,
  jwks jsonb,
  jwks_uri text,
  workload jsonb,
  states_visitor_address boolean NOT NULL DEFAULT false,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL,
  changed_at timestamp with time zone NOT NULL,
  dpop_required boolean NOT NULL DEFAULT false,
  CONSTRAINT clients_audiences_are_stated CHECK ((cardinality(audiences) > 0)),
  CONSTRAINT clients_auth_method_is_known CHECK ((auth_method = ANY (ARRAY['client_secret_basic'::text, 'client_secret_post'::text, 'private_key_jwt'::text, 'workload'::text]))),
  CONSTRAINT clients_id_is_ours CHECK ((id ~ '^cl_[A-Za-z0-9_-]{22}$'::text)),
  CONSTRAINT clients_keys_are_in_one_place CHECK ((num_nonnulls(jwks, jwks_uri) =
CASE
    WHEN (auth_method = 'private_key_jwt'::text) THEN 1
    ELSE 0
END)),
  CONSTRAINT clients_name_is_short CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100))),
  CONSTRAINT clients_services_have_no_sessions CHECK (((type <> 'service'::text) OR ((origins = '{}'::text[]) AND (num_nonnulls(session_idle_seconds, session_max_seconds, remember_idle_seconds, remember_max_seconds) = 0)))),
  CONSTRAINT clients_services_prove_themselves CHECK (((type = 'service'::text) = (auth_method IS NOT NULL))),
  CONSTRAINT clients_type_is_known CHECK ((type = ANY (ARRAY['browser'::text, 'native'::text, 'service'::text]))),
  CONSTRAINT clients_visitors_are_stated_by_basic CHECK (((NOT states_visitor_address) OR (NOT (auth_method IS DISTINCT FROM 'client_secret_basic'::text)))),
  CONSTRAINT clients_workload_is_stated CHECK (((NOT (auth_method IS DISTINCT FROM 'workload'::text)) = (workload IS NOT NULL))),
  CONSTRAINT clients_pkey PRIMARY KEY (id)
)
CREATE UNIQUE INDEX clients_name_key ON public.clients USING btree (lower(name))

TABLE families (
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  auth_time timestamp with time zone NOT NULL,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  window_started_at timestamp with time zone NOT NULL,
  retried boolean NOT NULL DEFAULT false,
  current_hash bytea NOT NULL,
  previous_hash bytea,
  salt bytea,
  generation integer NOT NULL,
  previous_generation integer,
  window_count integer NOT NULL DEFAULT 0,
  rotated_at timestamp with time zone NOT NULL,
  rotation_key_hash bytea,
  idle_seconds integer NOT NULL,
  retry_streak smallint NOT NULL DEFAULT 0,
  remember boolean NOT NULL,
  client_id text NOT NULL,
  delivery text NOT NULL,
  scope text[] NOT NULL,
  audience text[] NOT NULL,
  amr text[] NOT NULL,
  user_agent text,
  address inet,
  ended_at timestamp with time zone,
  end_cause text,
  dpop_jkt text,
  CONSTRAINT families_audience_is_stated CHECK ((cardinality(audience) > 0)),
  CONSTRAINT families_current_hash_is_sha256 CHECK ((octet_length(current_hash) = 32)),
  CONSTRAINT families_delivery_is_known CHECK ((delivery = ANY (ARRAY['cookie'::text, 'body'::text]))),
  CONSTRAINT families_dpop_jkt_is_sha256 CHECK ((dpop_jkt ~ '^[A-Za-z0-9_-]{43}$'::text)) NOT VALID,
  CONSTRAINT families_end_has_a_cause CHECK (((ended_at IS NULL) = (end_cause IS NULL))),
  CONSTRAINT families_generations_ascend CHECK (((previous_generation >= 0) AND (previous_generation < generation))),
  CONSTRAINT families_idle_is_positive CHECK ((idle_seconds > 0)),
  CONSTRAINT families_previous_hash_is_sha256 CHECK ((octet_length(previous_hash) = 32)),
  CONSTRAINT families_previous_is_whole CHECK ((((previous_generation IS NULL) = (previous_hash IS NULL)) AND ((previous_hash IS NULL) = (salt IS NULL)))),
  CONSTRAINT families_salt_is_16_bytes CHECK ((octet_length(salt) = 16)),
  CONSTRAINT families_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT families_pkey PRIMARY KEY (id)
) WITH (fillfactor=75, autovacuum_vacuum_scale_factor=0.05)
CREATE INDEX families_expires_at_idx ON public.families USING btree (expires_at)
CREATE INDEX families_live_by_user_idx ON public.families USING btree (user_id) WHERE (ended_at IS NULL)

TABLE login_failures (
  identifier_hash bytea NOT NULL,
  user_id uuid,
  failures integer NOT NULL,
  blocked_until timestamp with time zone NOT NULL,
  last_attempt_at timestamp with time zone NOT NULL,
  in_flight integer NOT NULL DEFAULT 0,
  of_device boolean NOT NULL DEFAULT false,
  CONSTRAINT login_failures_count_is_positive CHECK ((failures >= 0)),
  CONSTRAINT login_failures_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT login_failures_pkey PRIMARY KEY (identifier_hash)
)
CREATE INDEX login_failures_user_id_idx ON public.login_failures USING btree (user_id)

UNLOGGED TABLE login_sprays (
  prefix cidr NOT NULL,
  accounts bytea[] NOT NULL,
  failed_at timestamp with time zone[] NOT NULL,
  last_failed_at timestamp with time zone NOT NULL,
  shrunk_until timestamp with time zone,
  CONSTRAINT login_sprays_is_short CHECK (((cardinality(accounts) <= 50) AND (cardinality(accounts) = cardinality(failed_at)))),
  CONSTRAINT login_sprays_pkey PRIMARY KEY (prefix)
)
CREATE INDEX login_sprays_last_failed_at_idx ON public.login_sprays USING btree (last_failed_at)

TABLE mail_counts (
  address_hash bytea NOT NULL,
  sent_at timestamp with time zone[] NOT NULL,
  last_sent_at timestamp with time zone NOT NULL,
  CONSTRAINT mail_counts_is_short CHECK (((cardinality(sent_at) >= 1) AND (cardinality(sent_at) <= 100))),
  CONSTRAINT mail_counts_pkey PRIMARY KEY (address_hash)
)
CREATE INDEX mail_counts_last_sent_at_idx ON public.mail_counts USING btree (last_sent_at)

TABLE notices (
  user_id uuid NOT NULL,
  cause text NOT NULL,
  sent_at timestamp with time zone[] NOT NULL,
  CONSTRAINT notices_is_short CHECK (((cardinality(sent_at) >= 1) AND (cardinality(sent_at) <= 10))),
  CONSTRAINT notices_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT notices_pkey PRIMARY KEY (user_id, cause)
)

TABLE one_time_codes (
  id uuid NOT NULL,
  purpose text NOT NULL,
  user_id uuid,
  email text NOT NULL,
  token_hash bytea NOT NULL,
  code_hash bytea,
  code_tries smallint NOT NULL DEFAULT 0,
  details jsonb NOT NULL DEFAULT '{}'::jsonb,
  created_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone NOT NULL,
  CONSTRAINT one_time_codes_email_is_normalised CHECK ((email = lower(email))),
  CONSTRAINT one_time_codes_purpose_is_known CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'reset_password'::text, 'change_email'::text, 'undo_email_change'::text, 'invitation'::text]))),
  CONSTRAINT one_time_codes_token_is_sha256 CHECK ((octet_length(token_hash) = 32)),
  CONSTRAINT one_time_codes_user_unless_invited CHECK (((user_id IS NULL) = (purpose = 'invitation'::text))),
  CONSTRAINT one_time_codes_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE,
  CONSTRAINT one_time_codes_pkey PRIMARY KEY (id),
  CONSTRAINT one_time_codes_token_key UNIQUE (token_hash)
)
CREATE INDEX one_time_codes_expires_at_idx ON public.one_time_codes USING btree (expires_at)
CREATE UNIQUE INDEX one_time_codes_one_of_a_user ON public.one_time_codes USING btree (user_id, purpose) WHERE (purpose <> 'undo_email_change'::text)
CREATE UNIQUE INDEX one_time_codes_one_of_an_address ON public.one_time_codes USING btree (email, purpose) WHERE (purpose = ANY (ARRAY['verify_email'::text, 'reset_password'::text, 'invitation'::text]))
CREATE UNIQUE INDEX one_time_codes_one_way_back ON public.one_time_codes USING btree (user_id, email) WHERE (purpose = 'undo_email_change'::text)
CREATE INDEX one_time_codes_way_back_idx ON public.one_time_codes USING btree (email) WHERE (purpose = 'undo_email_change'::text)

TABLE outbox (
  id uuid NOT NULL,
  kind text NOT NULL,
  sealed_payload bytea NOT NULL,
  sealed_by text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  taken_at timestamp with time zone,
  due_at timestamp with time zone NOT NULL,
  last_failure text,
  dead_at timestamp with time zone,
  CONSTRAINT outbox_pkey PRIMARY KEY (id)
)
CREATE INDEX outbox_dead_idx ON public.outbox USING btree (dead_at) WHERE (dead_at IS NOT NULL)
CREATE INDEX outbox_due_idx ON public.outbox USING btree (kind, due_at) WHERE (dead_at IS NULL)

UNLOGGED TABLE rate_limits (
  policy text NOT NULL,
  key text NOT NULL,
  window_started_at timestamp with time zone NOT NULL,
  count integer NOT NULL,
  CONSTRAINT rate_limits_pkey PRIMARY KEY (policy, key)
) WITH (fillfactor=70)
CREATE INDEX rate_limits_window_started_at_idx ON public.rate_limits USING btree (window_started_at)

TABLE revocation_feed (
  only_row boolean NOT NULL DEFAULT true,
  epoch text NOT NULL,
  incarnation text NOT NULL,
  last_seq bigint NOT NULL,
  longest_seconds integer NOT NULL,
  longest_until timestamp with time zone NOT NULL,
  CONSTRAINT revocation_feed_is_one_row CHECK (only_row),
  CONSTRAINT revocation_feed_pkey PRIMARY KEY (only_row)
)

TABLE revocations (
  id uuid NOT NULL,
  seq bigint,
  kind text NOT NULL,
  sid uuid,
  sub text,
  kid text,
  initiator text NOT NULL,
  revoked_at timestamp with time zone NOT NULL,
  expires_at timestamp with time zone,
  CONSTRAINT revocations_expire_once_numbered CHECK (((seq IS NULL) = (expires_at IS NULL))),
  CONSTRAINT revocations_initiator_is_known CHECK ((initiator = ANY (ARRAY['user'::text, 'admin'::text, 'policy'::text]))),
  CONSTRAINT revocations_kind_is_known CHECK ((kind = ANY (ARRAY['session'::text, 'subject'::text, 'key'::text, 'all'::text, 'credential'::text]))),
  CONSTRAINT revocations_name_what_they_revoke CHECK ((((sid IS NOT NULL) = (kind = 'session'::text)) AND ((sub IS NOT NULL) = (kind = ANY (ARRAY['session'::text, 'subject'::text, 'credential'::text]))) AND ((kid IS NOT NULL) = (kind = 'key'::text)))),
  CONSTRAINT revocations_pkey PRIMARY KEY (id)
)
CREATE INDEX revocations_expires_at_idx ON public.revocations USING btree (expires_at) WHERE (expires_at IS NOT NULL)
CREATE UNIQUE INDEX revocations_seq_key ON public.revocations USING btree (seq) WHERE (seq IS NOT NULL)
CREATE INDEX revocations_subject_idx ON public.revocations USING btree (sub) WHERE (kind = ANY (ARRAY['subject'::text, 'all'::text]))
CREATE INDEX revocations_unnumbered_idx ON public.revocations USING btree (revoked_at, id) WHERE (seq IS NULL)

TABLE signing_keys (
  kid text NOT NULL,
  state text NOT NULL,
  public_jwk jsonb NOT NULL,
  sealed_private bytea,
  sealed_by text,
  imported boolean NOT NULL DEFAULT false,
  compromised boolean NOT NULL DEFAULT false,
  created_at timestamp with time zone NOT NULL,
  activated_at timestamp with time zone,
  retired_at timestamp with time zone,
  removed_at timestamp with time zone,
  CONSTRAINT signing_keys_kid_is_thumbprint CHECK ((kid ~ '^[A-Za-z0-9_-]{43}$'::text)),
  CONSTRAINT signing_keys_removed_keeps_no_secret CHECK (((state = 'removed'::text) = (sealed_private IS NULL))),
  CONSTRAINT signing_keys_sealed_names_its_secret CHECK (((sealed_private IS NULL) = (sealed_by IS NULL))),
  CONSTRAINT signing_keys_state_is_known CHECK ((state = ANY (ARRAY['next'::text, 'active'::text, 'retiring'::text, 'removed'::text]))),
  CONSTRAINT signing_keys_pkey PRIMARY KEY (kid)
)
CREATE UNIQUE INDEX signing_keys_one_active ON public.signing_keys USING btree (state) WHERE (state = 'active'::text)
CREATE UNIQUE INDEX signing_keys_one_next ON public.signing_keys USING btree (state) WHERE (state = 'next'::text)

TABLE users (
  id uuid NOT NULL,
  email text NOT NULL,
  email_verified boolean NOT NULL DEFAULT false,
  password_hash text,
  roles text[] NOT NULL DEFAULT '{}'::text[],
  claims jsonb NOT NULL DEFAULT '{}'::jsonb,
  disabled_at timestamp with time zone,
  created_at timestamp with time zone NOT NULL,
  password_disabled_at timestamp with time zone,
  must_verify boolean NOT NULL DEFAULT false,
  signed_in_at timestamp with time zone,
  locale text,
  CONSTRAINT users_claims_is_object CHECK ((jsonb_typeof(claims) = 'object'::text)),
  CONSTRAINT users_email_is_normalised CHECK (((email = lower(email)) AND ((octet_length(email) >= 3) AND (octet_length(email) <= 254)))),
  CONSTRAINT users_password_is_known CHECK ((password_hash ~ '^\$(argon2id|2[aby]|scrypt|pbkdf2-sha(1|256|512))\$'::text)) NOT VALID,
  CONSTRAINT users_roles_are_named CHECK ((array_position(roles, NULL::text) IS NULL)) NOT VALID,
  CONSTRAINT users_pkey PRIMARY KEY (id),
  CONSTRAINT users_email_key UNIQUE (email)
)
CREATE INDEX users_created_at_idx ON public.users USING btree (created_at, id)
CREATE INDEX users_hash_parameters_idx ON public.users USING btree ("substring"(password_hash, '^\$argon2id\$v=19\$([^$]*)\$'::text))

TABLE verifiers (
  client_id text NOT NULL,
  instance text NOT NULL,
  epoch text NOT NULL,
  seq bigint NOT NULL,
  kids text[] NOT NULL,
  reported_at timestamp with time zone NOT NULL,
  CONSTRAINT verifiers_pkey PRIMARY KEY (client_id, instance)
)
CREATE INDEX verifiers_reported_at_idx ON public.verifiers USING btree (reported_at)

CREATE OR REPLACE FUNCTION public.audit_count_again(event uuid, times integer)
 RETURNS void
 LANGUAGE sql
 STRICT SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 UPDATE audit SET details = jsonb_set(audit.details, '{count}'::text[], to_jsonb((((audit.details -> 'count'::text))::bigint + audit_count_again.times)))
   WHERE ((audit.id = audit_count_again.event) AND (audit_count_again.times > 0) AND (jsonb_typeof((audit.details -> 'count'::text)) = 'number'::text) AND (audit.at > (clock_timestamp() - '01:00:00'::interval)));
END
-- PUBLIC may not call it

CREATE OR REPLACE FUNCTION public.audit_delete_old(before timestamp with time zone, batch integer)
 RETURNS integer
 LANGUAGE sql
 STRICT SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
BEGIN ATOMIC
 WITH deleted AS (
          DELETE FROM audit
           WHERE (audit.id IN ( SELECT audit_1.id
                    FROM audit audit_1
                   WHERE (audit_1.at < LEAST(audit_delete_old.before, (clock_timestamp() - '30 days'::interval)))
                   ORDER BY audit_1.at
                  LIMIT audit_delete_old.batch
                  FOR UPDATE OF audit_1 SKIP LOCKED))
           RETURNING audit.id
         )
  SELECT (count(*))::integer AS count
    FROM deleted;
END
-- PUBLIC may not call it

CREATE OR REPLACE FUNCTION public.locked_user(wanted uuid)
 RETURNS SETOF users
 LANGUAGE plpgsql
 STRICT ROWS 1
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(wanted::text, 0));
  RETURN QUERY SELECT * FROM users WHERE id = wanted FOR NO KEY UPDATE;
END $function$
-- PUBLIC may call it

CREATE OR REPLACE FUNCTION public.locked_user_by_email(wanted text)
 RETURNS SETOF users
 LANGUAGE plpgsql
 STRICT ROWS 1
AS $function$
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
END $function$
-- PUBLIC may call it

CREATE OR REPLACE FUNCTION public.user_by_email(wanted text)
 RETURNS SETOF users
 LANGUAGE plpgsql
 STABLE STRICT ROWS 1
AS $function$
BEGIN
  RETURN QUERY SELECT * FROM users WHERE email = wanted;
END $function$
-- PUBLIC may call it

CREATE OR REPLACE FUNCTION public.user_by_id(wanted uuid)
 RETURNS SETOF users
 LANGUAGE plpgsql
 STABLE STRICT ROWS 1
AS $function$
BEGIN
  RETURN QUERY SELECT * FROM users WHERE id = wanted;
END $function$
-- PUBLIC may call it

CREATE OR REPLACE FUNCTION public.users_hash_parameters(most integer)
 RETURNS text[]
 LANGUAGE plpgsql
 STABLE STRICT
AS $function$
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
END $function$
-- PUBLIC may call it
