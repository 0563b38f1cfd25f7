-- Mail that leaves: what became of it, and when it is tried again.
ALTER TABLE mails ADD COLUMN state TEXT NOT NULL DEFAULT 'kept';
ALTER TABLE mails ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mails ADD COLUMN next_try BIGINT NOT NULL DEFAULT 0;
ALTER TABLE mails ADD COLUMN error TEXT NOT NULL DEFAULT '';
CREATE INDEX mails_state ON mails (state, next_try);
