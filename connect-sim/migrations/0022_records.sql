CREATE TABLE service_tokens (
    guid TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    active BIGINT,
    expires BIGINT
);

CREATE TABLE schedule_changes (
    id BIGINT PRIMARY KEY,
    variant_id BIGINT NOT NULL REFERENCES variants (id) ON DELETE CASCADE,
    change_type TEXT NOT NULL,
    changed BIGINT NOT NULL,
    user_guid TEXT NOT NULL,
    schedule TEXT
);
CREATE INDEX schedule_changes_variant ON schedule_changes (variant_id, id);
