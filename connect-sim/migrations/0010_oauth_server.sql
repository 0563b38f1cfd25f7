CREATE TABLE oauth_clients (
    client_id TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    name TEXT,
    redirect_uris TEXT NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT
);

CREATE TABLE oauth_grants (
    id TEXT PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE oauth_codes (
    sha256 TEXT PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    scope TEXT NOT NULL,
    grant_id TEXT,
    expires BIGINT NOT NULL
);

CREATE TABLE oauth_devices (
    sha256 TEXT PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    state TEXT NOT NULL,
    user_guid TEXT REFERENCES users (guid) ON DELETE CASCADE,
    pause BIGINT NOT NULL,
    polled BIGINT,
    expires BIGINT NOT NULL
);

CREATE TABLE oauth_tokens (
    sha256 TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    grant_id TEXT NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
    used BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX oauth_tokens_grant ON oauth_tokens (grant_id);
