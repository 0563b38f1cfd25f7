-- Wrong codes of devices that the holder of a token has given since `since` (microseconds since 1970).
CREATE TABLE wrong_codes (
    who TEXT PRIMARY KEY,
    since BIGINT NOT NULL,
    given BIGINT NOT NULL
);
