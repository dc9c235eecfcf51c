-- Everything the issuer keeps. All times come from the database's clock and every invariant that SQL can hold is a
-- named constraint, because two replicas can check the same thing at the same moment and only one place can be right.

CREATE TABLE users (
  id                  uuid PRIMARY KEY,
  -- The normalised address: lower-case, domain as A-labels. It is what every lookup uses.
  email               text NOT NULL CONSTRAINT users_email_key UNIQUE,
  email_verified      boolean NOT NULL DEFAULT false,
  -- PHC string. Null: the account has no password and cannot sign in with one.
  password_hash       text,
  roles               text[] NOT NULL DEFAULT '{}',
  -- Custom claims that operators set; they are copied into access tokens.
  claims              jsonb NOT NULL DEFAULT '{}',
  disabled_at         timestamptz,
  created_at          timestamptz NOT NULL,
  CONSTRAINT users_email_is_normalised CHECK (email = lower(email) AND octet_length(email) BETWEEN 3 AND 254),
  CONSTRAINT users_claims_is_object CHECK (jsonb_typeof(claims) = 'object'),
  CONSTRAINT users_password_is_argon2id CHECK (password_hash LIKE '$argon2id$%')
);

CREATE INDEX users_created_at_idx ON users (created_at, id);

-- One row is one refresh-token family, which is one session. It holds hashes, never a token, and does not grow.
-- Of an updated row PostgreSQL logs what lies between the first and the last byte that changed. So what a rotation changes
-- stands together, and what comes before it has fixed widths that leave no gaps for alignment. retried changes rarely; it
-- stands where it does because a gap would take its byte. 8 to 24 bytes of log less per refresh than in the order in which
-- one would tell it.
CREATE TABLE families (
  id                  uuid PRIMARY KEY,
  user_id             uuid NOT NULL CONSTRAINT families_user_id_fkey REFERENCES users ON DELETE CASCADE,
  auth_time           timestamptz NOT NULL,
  created_at          timestamptz NOT NULL,
  -- Absolute end, fixed at sign-in. The idle end is rotated_at + idle_seconds.
  expires_at          timestamptz NOT NULL,

  -- Fixed window of the per-family rate limit.
  window_started_at   timestamptz NOT NULL,
  -- Whether the last rotation was answered more than once.
  retried             boolean NOT NULL DEFAULT false,
  current_hash        bytea NOT NULL CONSTRAINT families_current_hash_is_sha256 CHECK (octet_length(current_hash) = 32),
  previous_hash       bytea CONSTRAINT families_previous_hash_is_sha256 CHECK (octet_length(previous_hash) = 32),
  -- With the presented token and a server key it yields the current token; alone it yields nothing.
  salt                bytea CONSTRAINT families_salt_is_16_bytes CHECK (octet_length(salt) = 16),
  generation          integer NOT NULL,
  -- The generation whose rotation made the current one; usually generation - 1, not after a late retry.
  previous_generation integer,
  window_count        integer NOT NULL DEFAULT 0,
  -- Time of the last rotation (of the sign-in before the first): start of the grace and of the idle period.
  rotated_at          timestamptz NOT NULL,
  -- SHA-256 of the Idempotency-Key that came with the last rotation.
  rotation_key_hash   bytea,

  idle_seconds        integer NOT NULL CONSTRAINT families_idle_is_positive CHECK (idle_seconds > 0),
  -- How many rotations running were answered more than once.
  retry_streak        smallint NOT NULL DEFAULT 0,
  remember            boolean NOT NULL,
  client_id           text NOT NULL,
  delivery            text NOT NULL CONSTRAINT families_delivery_is_known CHECK (delivery IN ('cookie', 'body')),
  -- What was granted at sign-in. A refresh may narrow the access token, never this.
  scope               text[] NOT NULL,
  audience            text[] NOT NULL CONSTRAINT families_audience_is_stated CHECK (cardinality(audience) > 0),
  amr                 text[] NOT NULL,
  user_agent          text,
  address             inet,

  ended_at            timestamptz,
  end_cause           text,
  CONSTRAINT families_end_has_a_cause CHECK ((ended_at IS NULL) = (end_cause IS NULL)),
  CONSTRAINT families_generations_ascend CHECK (previous_generation >= 0 AND previous_generation < generation),
  CONSTRAINT families_previous_is_whole CHECK (
    (previous_generation IS NULL) = (previous_hash IS NULL) AND (previous_hash IS NULL) = (salt IS NULL)
  )
-- Room on each page for the next version of a row, so that a rotation is a HOT update: nothing that it changes is indexed.
) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX families_live_by_user_idx ON families (user_id) WHERE ended_at IS NULL;
CREATE INDEX families_expires_at_idx ON families (expires_at);

CREATE TABLE signing_keys (
  kid                 text PRIMARY KEY CONSTRAINT signing_keys_kid_is_thumbprint CHECK (kid ~ '^[A-Za-z0-9_-]{43}$'),
  state               text NOT NULL CONSTRAINT signing_keys_state_is_known
                        CHECK (state IN ('next', 'active', 'retiring', 'removed')),
  public_jwk          jsonb NOT NULL,
  -- PKCS #8, sealed with AES-256-GCM under a key derived from CLAVIGER_SECRET. Gone once the key is removed.
  sealed_private      bytea,
  -- Which CLAVIGER_SECRET sealed it (a fingerprint, not the secret).
  sealed_by           text,
  imported            boolean NOT NULL DEFAULT false,
  compromised         boolean NOT NULL DEFAULT false,
  created_at          timestamptz NOT NULL,
  activated_at        timestamptz,
  retired_at          timestamptz,
  removed_at          timestamptz,
  CONSTRAINT signing_keys_removed_keeps_no_secret CHECK ((state = 'removed') = (sealed_private IS NULL)),
  CONSTRAINT signing_keys_sealed_names_its_secret CHECK ((sealed_private IS NULL) = (sealed_by IS NULL))
);

CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'next';

-- Consecutive failed sign-ins, keyed by an HMAC of the normalised identifier whether or not an account has it:
-- people type passwords into the e-mail field, and a counter only for real accounts would tell which are real.
CREATE TABLE login_failures (
  identifier_hash     bytea PRIMARY KEY,
  user_id             uuid CONSTRAINT login_failures_user_id_fkey REFERENCES users ON DELETE CASCADE,
  failures            integer NOT NULL CONSTRAINT login_failures_count_is_positive CHECK (failures >= 0),
  blocked_until       timestamptz NOT NULL,
  last_attempt_at     timestamptz NOT NULL
);

CREATE INDEX login_failures_user_id_idx ON login_failures (user_id);

-- Fixed windows per policy and client address. Unlogged: after a crash of the database they start anew.
CREATE UNLOGGED TABLE rate_limits (
  policy              text NOT NULL,
  key                 text NOT NULL,
  window_started_at   timestamptz NOT NULL,
  count               integer NOT NULL,
  PRIMARY KEY (policy, key)
) WITH (fillfactor = 70);

CREATE INDEX rate_limits_window_started_at_idx ON rate_limits (window_started_at);

-- What happened and why. No foreign keys: the trail outlives what it speaks of.
CREATE TABLE audit (
  id                  uuid PRIMARY KEY,
  -- Order of writing: events of one operation have the same time.
  seq                 bigint GENERATED ALWAYS AS IDENTITY,
  at                  timestamptz NOT NULL,
  type                text NOT NULL,
  outcome             text NOT NULL CONSTRAINT audit_outcome_is_known CHECK (outcome IN ('success', 'failure')),
  reason              text,
  actor               text NOT NULL,
  user_id             uuid,
  family_id           uuid,
  client_id           text,
  request_id          text,
  address             inet,
  user_agent          text,
  details             jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX audit_at_idx ON audit (at);
CREATE INDEX audit_user_id_idx ON audit (user_id, at) WHERE user_id IS NOT NULL;
CREATE INDEX audit_family_id_idx ON audit (family_id, at) WHERE family_id IS NOT NULL;
