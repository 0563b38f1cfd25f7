ALTER TABLE users ADD COLUMN service BIGINT NOT NULL DEFAULT 0;

CREATE TABLE trusted_publishers (
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    issuer TEXT NOT NULL,
    audience TEXT NOT NULL,
    claims TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (content_guid, user_guid)
);
CREATE INDEX trusted_publishers_issuer ON trusted_publishers (issuer);
CREATE INDEX trusted_publishers_user ON trusted_publishers (user_guid);
