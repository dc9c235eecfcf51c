-- An address that an account has left is kept for it while it may return, so every new address is looked up here.
CREATE INDEX one_time_codes_way_back_idx ON one_time_codes (email) WHERE purpose = 'undo_email_change';
