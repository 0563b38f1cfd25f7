CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- A set of packages of one origin. `feed` names the feed of the package service that fills it; null for the others.
CREATE TABLE sources (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    feed TEXT,
    created_at BIGINT NOT NULL
);

-- What clients address.
CREATE TABLE repos (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    hidden BIGINT NOT NULL,
    authenticated BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Which sources a repo is made of, from a transaction on. `sources` is a JSON list of source ids, first wins.
CREATE TABLE subscriptions (
    repo_id BIGINT NOT NULL REFERENCES repos (id),
    since_tx BIGINT NOT NULL,
    since BIGINT NOT NULL,
    sources TEXT NOT NULL,
    PRIMARY KEY (repo_id, since_tx)
);

-- Every change. `result` is 0 for what was done and 1 for what failed; `as_of` is the time whose state a change of a
-- source brought about (null for failures and changes of repos).
CREATE TABLE transactions (
    id BIGINT PRIMARY KEY,
    source_id BIGINT,
    repo_id BIGINT,
    action TEXT NOT NULL,
    tag TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT NOT NULL,
    as_of BIGINT,
    published_from BIGINT,
    published_to BIGINT,
    packages_added BIGINT NOT NULL,
    packages_updated BIGINT NOT NULL,
    packages_archived BIGINT NOT NULL,
    packages_removed BIGINT NOT NULL,
    result BIGINT NOT NULL,
    error TEXT NOT NULL
);

CREATE INDEX transactions_of_source ON transactions (source_id, result, as_of, id);

-- How far a source has followed its feed.
CREATE TABLE feeds (
    source_id BIGINT PRIMARY KEY REFERENCES sources (id),
    service_id TEXT NOT NULL,
    history_from BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    checkpoint TEXT NOT NULL
);

-- Packages with their whole history. A row is seen by the transactions `since_tx <= id < until_tx`; what a snapshot shows of
-- it follows from the times inside `record`. `entry` is what an index shows of it at times after `changed_at`, the time of its
-- last event; empty when that is nothing.
CREATE TABLE packages (
    source_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    since_tx BIGINT NOT NULL,
    until_tx BIGINT NOT NULL,
    id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    entry TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (source_id, name, since_tx)
);

-- Package files as they are served, where that is not as they came.
CREATE TABLE stamped (
    original TEXT PRIMARY KEY,
    served TEXT NOT NULL,
    size BIGINT NOT NULL
);
