CREATE TABLE thumbnails (
    content_guid TEXT PRIMARY KEY REFERENCES content (guid) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL
);
CREATE INDEX thumbnails_digest ON thumbnails (digest);

CREATE TABLE bookmarks (
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    PRIMARY KEY (content_guid, user_guid)
);

CREATE TABLE variants (
    id BIGINT PRIMARY KEY,
    content_guid TEXT NOT NULL REFERENCES content (guid) ON DELETE CASCADE,
    variant_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    is_default BIGINT NOT NULL,
    settings TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX variants_content ON variants (content_guid, id);

CREATE TABLE renderings (
    id BIGINT PRIMARY KEY,
    variant_id BIGINT NOT NULL REFERENCES variants (id) ON DELETE CASCADE,
    bundle_id BIGINT NOT NULL,
    job_key TEXT NOT NULL,
    rendered BIGINT NOT NULL,
    duration BIGINT NOT NULL
);
CREATE INDEX renderings_variant ON renderings (variant_id, id);

CREATE TABLE subscribers (
    variant_id BIGINT NOT NULL REFERENCES variants (id) ON DELETE CASCADE,
    user_guid TEXT NOT NULL REFERENCES users (guid) ON DELETE CASCADE,
    PRIMARY KEY (variant_id, user_guid)
);

CREATE TABLE schedules (
    id BIGINT PRIMARY KEY,
    variant_id BIGINT NOT NULL UNIQUE REFERENCES variants (id) ON DELETE CASCADE,
    activate BIGINT NOT NULL,
    email BIGINT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    timezone TEXT NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT,
    next_run BIGINT
);
CREATE INDEX schedules_next ON schedules (next_run);

ALTER TABLE tasks ADD COLUMN variant_id BIGINT;
