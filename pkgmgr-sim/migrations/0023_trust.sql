-- Whom a source believes since its first synchronisation (key ids, JSON), and when it last saw that it is up to date.
ALTER TABLE feeds ADD COLUMN trusted TEXT NOT NULL DEFAULT '[]';
ALTER TABLE feeds ADD COLUMN checked_at BIGINT NOT NULL DEFAULT 0;
