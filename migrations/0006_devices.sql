-- A device on which somebody has signed in before has a counter of its own: `user_id` is always set there, and
-- `identifier_hash` is that of the device. Others count by address. The two are added up to find the hundredth failure of an
-- account, so they must be told apart.
ALTER TABLE login_failures ADD COLUMN of_device boolean NOT NULL DEFAULT false;
