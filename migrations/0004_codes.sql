-- What was sent by mail to prove an address or an intention: a link, and eight digits for whoever reads the mail elsewhere.
-- Lies with the user; invitations, which have none yet, anywhere.
CREATE TABLE one_time_codes (
  id                  uuid PRIMARY KEY,
  purpose             text NOT NULL CONSTRAINT one_time_codes_purpose_is_known
                        CHECK (purpose IN ('verify_email', 'reset_password', 'change_email', 'undo_email_change', 'invitation')),
  user_id             uuid CONSTRAINT one_time_codes_user_id_fkey REFERENCES users ON DELETE CASCADE,
  -- The address that it was sent to, and proves.
  email               text NOT NULL CONSTRAINT one_time_codes_email_is_normalised CHECK (email = lower(email)),
  -- SHA-256 of the link's token, which has 256 bits.
  token_hash          bytea NOT NULL CONSTRAINT one_time_codes_token_key UNIQUE
                        CONSTRAINT one_time_codes_token_is_sha256 CHECK (octet_length(token_hash) = 32),
  -- HMAC of the digits under a server key: a plain hash would give them away to whoever tries all of them. Null: there are
  -- none, or too many wrong ones were tried.
  code_hash           bytea,
  code_tries          smallint NOT NULL DEFAULT 0,
  details             jsonb NOT NULL DEFAULT '{}',
  created_at          timestamptz NOT NULL,
  expires_at          timestamptz NOT NULL,
  CONSTRAINT one_time_codes_user_unless_invited CHECK ((user_id IS NULL) = (purpose = 'invitation'))
);

-- Only the newest counts. What takes an address change back is sent to every address that was left.
CREATE UNIQUE INDEX one_time_codes_one_of_a_user ON one_time_codes (user_id, purpose) WHERE purpose <> 'undo_email_change';
CREATE UNIQUE INDEX one_time_codes_one_of_an_address ON one_time_codes (email, purpose)
  WHERE purpose IN ('verify_email', 'reset_password', 'invitation');
CREATE UNIQUE INDEX one_time_codes_one_way_back ON one_time_codes (user_id, email) WHERE purpose = 'undo_email_change';
CREATE INDEX one_time_codes_expires_at_idx ON one_time_codes (expires_at);

-- When mails that somebody asked for went to an address: at most ten times, those of a day. Anywhere.
CREATE TABLE mail_counts (
  -- HMAC of the address under a server key.
  address_hash        bytea PRIMARY KEY,
  sent_at             timestamptz[] NOT NULL CONSTRAINT mail_counts_is_short CHECK (cardinality(sent_at) BETWEEN 1 AND 10),
  last_sent_at        timestamptz NOT NULL
);

CREATE INDEX mail_counts_last_sent_at_idx ON mail_counts (last_sent_at);

-- The account was registered while addresses had to be proved. Accounts from before may sign in without.
ALTER TABLE users ADD COLUMN must_verify boolean NOT NULL DEFAULT false;
