-- What was revoked while access tokens of it may still live, for verifiers that work offline. Written in the transaction that
-- revokes, without a number; numbered once it is committed, so that no number ever appears behind one that was read.
CREATE TABLE revocations (
  id                  uuid PRIMARY KEY,
  -- Null until it is numbered.
  seq                 bigint,
  kind                text NOT NULL CONSTRAINT revocations_kind_is_known
                        CHECK (kind IN ('session', 'subject', 'key', 'all', 'credential')),
  sid                 uuid,
  -- A user or a service client. Of a session, its user.
  sub                 text,
  kid                 text,
  initiator           text NOT NULL CONSTRAINT revocations_initiator_is_known CHECK (initiator IN ('user', 'admin', 'policy')),
  revoked_at          timestamptz NOT NULL,
  -- When the last token that it concerns has expired everywhere. Set with the number.
  expires_at          timestamptz,
  CONSTRAINT revocations_name_what_they_revoke CHECK (
    (sid IS NOT NULL) = (kind = 'session')
    AND (sub IS NOT NULL) = (kind IN ('session', 'subject', 'credential'))
    AND (kid IS NOT NULL) = (kind = 'key')
  ),
  CONSTRAINT revocations_expire_once_numbered CHECK ((seq IS NULL) = (expires_at IS NULL))
);

CREATE UNIQUE INDEX revocations_seq_key ON revocations (seq) WHERE seq IS NOT NULL;
CREATE INDEX revocations_unnumbered_idx ON revocations (revoked_at, id) WHERE seq IS NULL;
CREATE INDEX revocations_expires_at_idx ON revocations (expires_at) WHERE expires_at IS NOT NULL;

-- One row: where the numbers are, and of which history of the database they are.
CREATE TABLE revocation_feed (
  only_row            boolean PRIMARY KEY DEFAULT true CONSTRAINT revocation_feed_is_one_row CHECK (only_row),
  -- Of the numbers: another one whenever they may have gone back, as after a restore.
  epoch               text NOT NULL,
  -- The server process and the files in which the epoch began.
  incarnation         text NOT NULL,
  last_seq            bigint NOT NULL,
  -- The longest access token that was issued of late, and until when tokens of that length may live.
  longest_seconds     integer NOT NULL,
  longest_until       timestamptz NOT NULL
);

-- The first server that looks gives it an epoch.
INSERT INTO revocation_feed (epoch, incarnation, last_seq, longest_seconds, longest_until) VALUES ('', '', 0, 0, '-infinity');

-- How far the services that verify tokens have come, as they report it.
CREATE TABLE verifiers (
  client_id           text NOT NULL,
  -- Of a service that runs more than once.
  instance            text NOT NULL,
  epoch               text NOT NULL,
  seq                 bigint NOT NULL,
  -- The signing keys that it holds.
  kids                text[] NOT NULL,
  reported_at         timestamptz NOT NULL,
  PRIMARY KEY (client_id, instance)
);

CREATE INDEX verifiers_reported_at_idx ON verifiers (reported_at);
