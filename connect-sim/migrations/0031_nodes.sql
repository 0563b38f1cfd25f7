-- Servers that share the database, and whose process a job is: what a dead one has left running is known by it.
CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    seen BIGINT NOT NULL
);
ALTER TABLE jobs ADD COLUMN node TEXT;
