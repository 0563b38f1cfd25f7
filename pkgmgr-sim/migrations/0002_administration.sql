-- A deleted source is kept, out of sight, for the snapshots that show it.
ALTER TABLE sources ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0;

-- For sources that show or copy a state of another: which, by the transaction that set it.
CREATE TABLE pins (
    source_id BIGINT NOT NULL REFERENCES sources (id),
    since_tx BIGINT NOT NULL,
    base_id BIGINT NOT NULL,
    base_tx BIGINT NOT NULL,
    base_as_of BIGINT NOT NULL,
    PRIMARY KEY (source_id, since_tx)
);

CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Tokens by their `jti`. `scopes` is JSON; null in `expires_at` is never.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
