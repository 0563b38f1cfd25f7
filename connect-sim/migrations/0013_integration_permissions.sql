CREATE TABLE oauth_integration_permissions (
    guid TEXT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    integration_guid TEXT NOT NULL REFERENCES oauth_integrations (guid) ON DELETE CASCADE,
    user_guid TEXT REFERENCES users (guid) ON DELETE CASCADE,
    group_guid TEXT REFERENCES user_groups (guid) ON DELETE CASCADE
);
CREATE INDEX oauth_integration_permissions_integration ON oauth_integration_permissions (integration_guid);
