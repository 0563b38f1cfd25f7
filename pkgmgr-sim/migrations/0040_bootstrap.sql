-- Assertions that a token was given for, by their `jti`, until they would have ended anyway.
CREATE TABLE spent_assertions (
    jti TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
