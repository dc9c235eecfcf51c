-- Failures of service clients to prove themselves, which start a back-off as those of accounts do. By client and network, so
-- that a stranger who fails on purpose keeps out nobody but those who share the network. Rows go within days.
CREATE TABLE client_failures (
  -- HMAC of the id that was stated and of the network: a stated id may be anything.
  key_hash       bytea PRIMARY KEY CONSTRAINT client_failures_key_is_hmac CHECK (octet_length(key_hash) = 32),
  -- Running.
  failures       integer NOT NULL CONSTRAINT client_failures_counted CHECK (failures > 0),
  blocked_until  timestamptz NOT NULL,
  last_failed_at timestamptz NOT NULL
);

CREATE INDEX client_failures_age_idx ON client_failures (last_failed_at);
