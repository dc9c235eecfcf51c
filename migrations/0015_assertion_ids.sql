-- Which JWTs of private_key_jwt have been used, until they expire: each counts once, on whichever replica it comes first. By client.
CREATE TABLE assertion_ids (
  client_id  text NOT NULL,
  -- SHA-256 of `jti`, which clients choose.
  jti_hash   bytea NOT NULL CONSTRAINT assertion_ids_jti_is_sha256 CHECK (octet_length(jti_hash) = 32),
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (client_id, jti_hash)
);

CREATE INDEX assertion_ids_expires_at_idx ON assertion_ids (expires_at);
