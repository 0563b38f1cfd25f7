-- Custom metadata: `key` is `value` for the packages that fit. Null in `package_name`, `version`, `source_id` or `repo_id` fits all.
CREATE TABLE custom_metadata (
    id BIGINT PRIMARY KEY,
    package_name TEXT,
    version TEXT,
    source_id BIGINT,
    repo_id BIGINT,
    key TEXT NOT NULL,
    value TEXT NOT NULL
);
