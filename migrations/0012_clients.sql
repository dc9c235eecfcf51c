-- Applications that may ask for tokens, besides the two that are built in. Small and everywhere: every replica reads those of
-- browsers and native applications every two seconds, a service’s at each of its calls; only commands write.
CREATE TABLE clients (
  -- A user’s id is a UUID, so a token whose `sub` is this cannot pass for a user’s.
  id                    text PRIMARY KEY CONSTRAINT clients_id_is_ours CHECK (id ~ '^cl_[A-Za-z0-9_-]{22}$'),
  name                  text NOT NULL CONSTRAINT clients_name_is_short CHECK (char_length(name) BETWEEN 1 AND 100),
  type                  text NOT NULL CONSTRAINT clients_type_is_known CHECK (type IN ('browser', 'native', 'service')),
  -- Null: those of the settings.
  scopes                text[],
  audiences             text[] CONSTRAINT clients_audiences_are_stated CHECK (cardinality(audiences) > 0),
  -- Pages of a browser client, web views of a native one.
  origins               text[] NOT NULL DEFAULT '{}',
  -- Null: as the settings say.
  session_idle_seconds  integer,
  session_max_seconds   integer,
  remember_idle_seconds integer,
  remember_max_seconds  integer,
  access_token_seconds  integer,
  -- How a service proves itself. The others are public: they have nothing to prove themselves with.
  auth_method           text CONSTRAINT clients_auth_method_is_known
                          CHECK (auth_method IN ('client_secret_basic', 'client_secret_post', 'private_key_jwt', 'workload')),
  -- The public keys of private_key_jwt, or where they are published.
  jwks                  jsonb,
  jwks_uri              text,
  -- Whose tokens prove a workload: issuer, subject, claims, and where the issuer publishes its keys.
  workload              jsonb,
  -- Whether it is believed about the address of the visitor for whom it calls, as a site that renders on its server.
  states_visitor_address boolean NOT NULL DEFAULT false CONSTRAINT clients_visitors_are_stated_by_basic
                          CHECK (NOT states_visitor_address OR auth_method IS NOT DISTINCT FROM 'client_secret_basic'),
  disabled_at           timestamptz,
  created_at            timestamptz NOT NULL,
  changed_at            timestamptz NOT NULL,
  CONSTRAINT clients_services_prove_themselves CHECK ((type = 'service') = (auth_method IS NOT NULL)),
  CONSTRAINT clients_services_have_no_sessions CHECK (
    type <> 'service' OR (origins = '{}'
      AND num_nonnulls(session_idle_seconds, session_max_seconds, remember_idle_seconds, remember_max_seconds) = 0)),
  CONSTRAINT clients_keys_are_in_one_place CHECK (
    num_nonnulls(jwks, jwks_uri) = CASE WHEN auth_method = 'private_key_jwt' THEN 1 ELSE 0 END),
  CONSTRAINT clients_workload_is_stated CHECK ((auth_method IS NOT DISTINCT FROM 'workload') = (workload IS NOT NULL))
);

CREATE UNIQUE INDEX clients_name_key ON clients (lower(name));

-- By client: each authentication reads those of one client.
CREATE TABLE client_secrets (
  id                    uuid PRIMARY KEY,
  client_id             text NOT NULL CONSTRAINT client_secrets_client_id_fkey REFERENCES clients ON DELETE CASCADE,
  -- Two overlap, so that a service can be given the new one while the old one still counts.
  slot                  smallint NOT NULL CONSTRAINT client_secrets_are_two CHECK (slot IN (1, 2)),
  -- SHA-256 of a random value of 256 bits: neither a salt nor a slow hash would add anything.
  secret_hash           bytea NOT NULL CONSTRAINT client_secrets_hash_is_sha256 CHECK (octet_length(secret_hash) = 32),
  created_at            timestamptz NOT NULL,
  expires_at            timestamptz NOT NULL,
  -- To the minute.
  last_used_at          timestamptz,
  CONSTRAINT client_secrets_slot_key UNIQUE (client_id, slot)
);
