ALTER TABLE jobs ADD COLUMN variant_id BIGINT;
ALTER TABLE jobs ADD COLUMN queued BIGINT;
ALTER TABLE jobs ADD COLUMN run_as TEXT;
ALTER TABLE jobs ADD COLUMN kill_at BIGINT;
ALTER TABLE jobs ADD COLUMN is_process BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_ended ON jobs (ended, content_guid);
CREATE INDEX jobs_queued ON jobs (queued, started);
