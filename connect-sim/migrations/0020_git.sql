CREATE TABLE repositories (
    content_guid TEXT PRIMARY KEY REFERENCES content (guid) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    branch TEXT NOT NULL,
    directory TEXT NOT NULL,
    polling BIGINT NOT NULL,
    last_error TEXT,
    last_known_commit TEXT,
    last_fetched BIGINT,
    next_poll BIGINT
);
CREATE INDEX repositories_next ON repositories (next_poll);

ALTER TABLE tasks ADD COLUMN detail TEXT;
