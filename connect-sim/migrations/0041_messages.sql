CREATE TABLE messages (
    guid TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    content TEXT NOT NULL,
    audience TEXT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    starts BIGINT,
    ends BIGINT
);
