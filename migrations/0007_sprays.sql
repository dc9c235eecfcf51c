-- Which accounts failed to sign in from a network of late, and until when its budget is smaller because they were too many. One row
-- a network, of fifty accounts at most. Lies anywhere, by prefix. Like rate_limits not in the write-ahead log: what a crash loses is
-- counted again within minutes.
CREATE UNLOGGED TABLE login_sprays (
  -- The /24 of an IPv4 address, the /48 of an IPv6 address.
  prefix              cidr PRIMARY KEY,
  -- The first half of an HMAC of the address that was typed: people type passwords into the e-mail field.
  accounts            bytea[] NOT NULL,
  failed_at           timestamptz[] NOT NULL,
  last_failed_at      timestamptz NOT NULL,
  shrunk_until        timestamptz,
  CONSTRAINT login_sprays_is_short CHECK (cardinality(accounts) <= 50 AND cardinality(accounts) = cardinality(failed_at))
);

CREATE INDEX login_sprays_last_failed_at_idx ON login_sprays (last_failed_at);
