-- Jobs of builds and renders belong to a task, whose output is their log.
ALTER TABLE jobs ADD COLUMN task_id TEXT;
ALTER TABLE jobs ADD COLUMN skip_reason TEXT;
CREATE INDEX jobs_task ON jobs (task_id) WHERE task_id IS NOT NULL;
