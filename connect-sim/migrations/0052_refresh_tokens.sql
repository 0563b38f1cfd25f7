ALTER TABLE oauth_sessions ADD COLUMN refresh_token TEXT;
ALTER TABLE oauth_sessions ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
