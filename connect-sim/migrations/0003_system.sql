CREATE TABLE hits (
    id BIGINT PRIMARY KEY,
    content_guid TEXT NOT NULL,
    user_guid TEXT,
    variant_key TEXT,
    rendering_id BIGINT,
    bundle_id BIGINT NOT NULL,
    time BIGINT NOT NULL,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    user_agent TEXT,
    query TEXT,
    fetch_dest TEXT,
    fetch_site TEXT
);
CREATE INDEX hits_kind ON hits (kind, id);
CREATE INDEX hits_content ON hits (content_guid, id);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    time BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_guid TEXT,
    user_description TEXT NOT NULL,
    action TEXT NOT NULL,
    event_description TEXT NOT NULL
);

CREATE TABLE runtime_caches (
    language TEXT NOT NULL,
    version TEXT NOT NULL,
    PRIMARY KEY (language, version)
);

CREATE TABLE environments (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    cluster_name TEXT NOT NULL,
    detail TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE environment_permissions (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    environment_guid TEXT NOT NULL REFERENCES environments (guid) ON DELETE CASCADE,
    user_guid TEXT REFERENCES users (guid) ON DELETE CASCADE,
    group_guid TEXT REFERENCES user_groups (guid) ON DELETE CASCADE
);
CREATE INDEX environment_permissions_environment ON environment_permissions (environment_guid);

CREATE TABLE check_runs (
    id BIGINT PRIMARY KEY,
    started BIGINT NOT NULL,
    hostname TEXT NOT NULL,
    results TEXT NOT NULL
);

CREATE TABLE mails (
    id BIGINT PRIMARY KEY,
    sent BIGINT NOT NULL,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL
);
