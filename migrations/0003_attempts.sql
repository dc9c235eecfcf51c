-- Which parameters stored hashes have: every refusal does the work of all of them, so that its time tells no account from
-- another. Few values, so the index is small and the distinct ones are found by a few steps in it. First of all, because it
-- takes a while on a large table: servers may read users meanwhile, which they may not once a column has been added.
CREATE INDEX users_hash_parameters_idx ON users ((substring(password_hash FROM '^\$argon2id\$v=19\$([^$]*)\$')));

-- Attempts that are counted but not decided yet: whoever is turned away because of them alone may come again at once.
ALTER TABLE login_failures ADD COLUMN in_flight integer NOT NULL DEFAULT 0;

-- Too many failures in a row have taken the password's use away. It stands with the user, because a counter is kept under a
-- key that is derived from CLAVIGER_SECRET and is lost with the last entry of the list that it was kept under.
ALTER TABLE users ADD COLUMN password_disabled_at timestamptz;
UPDATE users SET password_disabled_at = f.last_attempt_at
FROM login_failures AS f WHERE f.user_id = users.id AND f.failures >= 100;
