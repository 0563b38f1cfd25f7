CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE counters (kind TEXT PRIMARY KEY, value BIGINT NOT NULL);

CREATE TABLE users (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    username TEXT NOT NULL,
    username_folded TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT,
    external_id TEXT,
    confirmed BIGINT NOT NULL,
    locked BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    active BIGINT
);

CREATE TABLE api_keys (
    id BIGINT PRIMARY KEY,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    tail TEXT NOT NULL,
    created BIGINT NOT NULL,
    active BIGINT,
    expires BIGINT,
    UNIQUE (user_guid, name)
);

CREATE TABLE tokens (
    token TEXT PRIMARY KEY,
    public_key TEXT NOT NULL,
    user_guid TEXT REFERENCES users (guid) ON DELETE CASCADE,
    created BIGINT NOT NULL
);

CREATE TABLE sessions (
    sha256 TEXT PRIMARY KEY,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    xsrf TEXT NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE user_groups (
    guid TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    owner_guid TEXT,
    gid BIGINT
);

CREATE TABLE group_members (
    group_guid TEXT NOT NULL REFERENCES user_groups (guid) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    PRIMARY KEY (group_guid, user_guid)
);
CREATE INDEX group_members_user ON group_members (user_guid);

CREATE TABLE content (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    owner_guid TEXT NOT NULL REFERENCES users (guid),
    name TEXT NOT NULL,
    title TEXT,
    description TEXT NOT NULL,
    access_type TEXT NOT NULL,
    locked BIGINT NOT NULL,
    locked_message TEXT NOT NULL,
    app_mode TEXT NOT NULL,
    content_category TEXT NOT NULL,
    parameterized BIGINT NOT NULL,
    bundle_id BIGINT,
    created BIGINT NOT NULL,
    deployed BIGINT NOT NULL,
    settings TEXT NOT NULL,
    UNIQUE (owner_guid, name)
);
CREATE INDEX content_deployed ON content (deployed, id);
CREATE INDEX content_name ON content (name);

CREATE TABLE variables (
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (content_guid, name)
);

CREATE TABLE permissions (
    id BIGINT PRIMARY KEY,
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    principal_guid TEXT NOT NULL,
    principal_type TEXT NOT NULL,
    role TEXT NOT NULL,
    UNIQUE (content_guid, principal_guid)
);
CREATE INDEX permissions_principal ON permissions (principal_guid);

CREATE TABLE vanities (
    path TEXT PRIMARY KEY,
    content_guid TEXT NOT NULL UNIQUE REFERENCES content (guid) ON DELETE CASCADE,
    created BIGINT NOT NULL
);

CREATE TABLE tags (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    parent_id BIGINT REFERENCES tags (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX tags_parent ON tags (parent_id);

CREATE TABLE content_tags (
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    tag_id BIGINT NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
    PRIMARY KEY (content_guid, tag_id)
);
CREATE INDEX content_tags_tag ON content_tags (tag_id);

CREATE TABLE bundles (
    id BIGINT PRIMARY KEY,
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    created_by TEXT,
    created BIGINT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    metadata TEXT NOT NULL,
    app_mode TEXT NOT NULL,
    content_category TEXT NOT NULL,
    parameterized BIGINT NOT NULL,
    entrypoint TEXT,
    primary_file TEXT,
    runtime TEXT NOT NULL
);
CREATE INDEX bundles_content ON bundles (content_guid, id);
CREATE INDEX bundles_digest ON bundles (digest);

CREATE TABLE packages (
    bundle_id BIGINT NOT NULL REFERENCES bundles (id) ON DELETE CASCADE,
    language TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    hash TEXT,
    PRIMARY KEY (bundle_id, language, name)
);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    content_guid TEXT REFERENCES content (guid) ON DELETE SET NULL,
    bundle_id BIGINT,
    activate BIGINT NOT NULL,
    user_guid TEXT NOT NULL,
    state TEXT NOT NULL,
    worker TEXT,
    lease BIGINT,
    attempts BIGINT NOT NULL,
    created BIGINT NOT NULL,
    finished BIGINT,
    code BIGINT NOT NULL,
    error TEXT NOT NULL,
    lines BIGINT NOT NULL,
    result TEXT
);
CREATE INDEX tasks_state ON tasks (state, number);
CREATE INDEX tasks_content ON tasks (content_guid, number);

CREATE TABLE task_output (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    first_line BIGINT NOT NULL,
    lines BIGINT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (task_id, first_line)
);

CREATE TABLE jobs (
    id BIGINT PRIMARY KEY,
    job_key TEXT NOT NULL UNIQUE,
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    bundle_id BIGINT,
    tag TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    exit_code BIGINT,
    error TEXT,
    log TEXT NOT NULL
);
CREATE INDEX jobs_content ON jobs (content_guid, id);
