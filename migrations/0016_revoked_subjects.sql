-- Whether the tokens of a service have been revoked is asked at each introspection of one. Entries without a subject, which
-- concern everybody, are in the index too.
CREATE INDEX revocations_subject_idx ON revocations (sub) WHERE kind IN ('subject', 'all');
