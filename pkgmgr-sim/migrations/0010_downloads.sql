-- How often versions of packages were downloaded, by the day that begins at `day` (microseconds since 1970, UTC).
CREATE TABLE downloads (
    source_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    day BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (source_id, name, version, day)
);
