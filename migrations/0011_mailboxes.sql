-- Mails are counted by mailbox as well, however many addresses it has: at most a hundred times, those of a day.
ALTER TABLE mail_counts
  DROP CONSTRAINT mail_counts_is_short,
  ADD CONSTRAINT mail_counts_is_short CHECK (cardinality(sent_at) BETWEEN 1 AND 100);
