CREATE TABLE oauth_integrations (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    template TEXT NOT NULL,
    config TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE oauth_associations (
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    integration_guid TEXT NOT NULL REFERENCES oauth_integrations (guid) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    PRIMARY KEY (content_guid, integration_guid)
);
CREATE INDEX oauth_associations_integration ON oauth_associations (integration_guid);

CREATE TABLE oauth_sessions (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    integration_guid TEXT NOT NULL REFERENCES oauth_integrations (guid) ON DELETE CASCADE,
    access_token TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (user_guid, integration_guid)
);
