-- What the owner of an account was told by mail, so that nobody can have it told more often than helps. By user.
CREATE TABLE notices (
  user_id             uuid NOT NULL CONSTRAINT notices_user_id_fkey REFERENCES users ON DELETE CASCADE,
  cause               text NOT NULL,
  -- The latest, as far back as the rule of the cause looks.
  sent_at             timestamptz[] NOT NULL CONSTRAINT notices_is_short CHECK (cardinality(sent_at) BETWEEN 1 AND 10),
  PRIMARY KEY (user_id, cause)
);

-- The first sign-in is on a new device by nature, and nobody is told. The language is that of whoever made it: later mails may be
-- caused by somebody else, who must not choose a language that the owner does not read.
ALTER TABLE users ADD COLUMN signed_in_at timestamptz, ADD COLUMN locale text;
