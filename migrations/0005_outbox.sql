-- What is to be delivered to the world outside, such as mails: written in the transaction that causes it, and deleted when it has
-- been delivered. Hardly anything is in it at a time, so it may lie anywhere.
CREATE TABLE outbox (
  -- The same at every attempt: whoever receives a copy can tell it by this.
  id                  uuid PRIMARY KEY,
  kind                text NOT NULL,
  -- Nonce, ciphertext, tag: it holds addresses, links and codes.
  sealed_payload      bytea NOT NULL,
  -- Fingerprint of the CLAVIGER_SECRET under which it was sealed.
  sealed_by           text NOT NULL,
  created_at          timestamptz NOT NULL,
  -- Attempts begun. It tells an attempt from a later one, which may have begun elsewhere because this one took too long.
  attempts            integer NOT NULL DEFAULT 0,
  -- The attempt that is under way.
  taken_at            timestamptz,
  -- When the next attempt may begin. While one is under way, when it is believed to have died with its server.
  due_at              timestamptz NOT NULL,
  -- Why the last attempt failed. In words of ours, without addresses.
  last_failure        text,
  -- It was given up, and waits for an operator.
  dead_at             timestamptz
);

CREATE INDEX outbox_due_idx ON outbox (kind, due_at) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead_idx ON outbox (dead_at) WHERE dead_at IS NOT NULL;
