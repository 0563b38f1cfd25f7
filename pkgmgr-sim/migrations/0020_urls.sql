-- Created snapshot URLs. `spelled` is the long form of the same; a deleted one keeps its row, so that its name never comes again.
CREATE TABLE urls (
    id TEXT PRIMARY KEY,
    repo_id BIGINT NOT NULL,
    spelled TEXT NOT NULL,
    locked BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    deleted_at BIGINT
);

CREATE INDEX urls_of_repo ON urls (repo_id, created_at);
