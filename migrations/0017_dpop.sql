-- The key that the tokens of a session are bound to, if they are: its SHA-256 thumbprint (RFC 9449 §6.1). Set when the session starts
-- and never changed. Replicas of the version before start sessions without one, and do not ask for it. Not validated: no row has one
-- yet, and reading the whole table would hold up refreshes.
ALTER TABLE families ADD COLUMN dpop_jkt text;
ALTER TABLE families ADD CONSTRAINT families_dpop_jkt_is_sha256 CHECK (dpop_jkt ~ '^[A-Za-z0-9_-]{43}$') NOT VALID;

-- Whether a client gets bound tokens only.
ALTER TABLE clients ADD COLUMN dpop_required boolean NOT NULL DEFAULT false;
