-- What lists of content and the search go by, in forms that both engines compare alike; one row an item, beside the item,
-- so that they read little: the settings of an item are long.
CREATE TABLE listed (
    content_id BIGINT PRIMARY KEY REFERENCES content (id) ON DELETE CASCADE,
    guid TEXT NOT NULL UNIQUE,
    owner_guid TEXT NOT NULL,
    name TEXT NOT NULL,
    access_type TEXT NOT NULL,
    locked BIGINT NOT NULL,
    app_mode TEXT NOT NULL,
    content_category TEXT NOT NULL,
    bundle_id BIGINT,
    created BIGINT NOT NULL,
    deployed BIGINT NOT NULL,
    words TEXT NOT NULL,
    sorted TEXT NOT NULL,
    image TEXT NOT NULL,
    py_version TEXT,
    r_version TEXT
);
CREATE INDEX listed_deployed ON listed (deployed, content_id);
CREATE INDEX listed_created ON listed (created, content_id);
CREATE INDEX listed_owner ON listed (owner_guid, deployed, content_id);
CREATE INDEX listed_name ON listed (name);
CREATE INDEX listed_py ON listed (py_version);
CREATE INDEX listed_r ON listed (r_version);
CREATE INDEX packages_name ON packages (LOWER(name), version);
DROP INDEX content_deployed;
DROP INDEX content_name;

ALTER TABLE variants ADD COLUMN is_private BIGINT NOT NULL DEFAULT 0;
UPDATE variants SET is_private = 1 WHERE settings LIKE '%"is_private":true%';
