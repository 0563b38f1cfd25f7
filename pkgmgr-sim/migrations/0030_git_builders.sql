-- What can be sent to git servers that ask who reads. `kind` is https.
CREATE TABLE git_credentials (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    username TEXT NOT NULL,
    password TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Builders of packages from git repositories. `branch` is empty for the default one. `seen` is JSON: what of the repository has
-- been given to builds. `poll_error` says why the last look failed. Whoever moves `next_poll_at` on is the one who looks.
CREATE TABLE git_builders (
    id BIGINT PRIMARY KEY,
    source_id BIGINT NOT NULL REFERENCES sources (id),
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    build_trigger TEXT NOT NULL,
    branch TEXT NOT NULL,
    sub_dir TEXT NOT NULL,
    credential TEXT,
    clone_depth BIGINT NOT NULL,
    submodules BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seen TEXT NOT NULL,
    next_poll_at BIGINT NOT NULL,
    poll_error TEXT NOT NULL,
    polled_at BIGINT NOT NULL,
    deleted BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX git_builders_by_name ON git_builders (source_id, name) WHERE deleted = 0;

-- Builds. `state` is queued, running, succeeded or failed. A running one belongs to `owner` until `lease_until`. `log` is the digest of a
-- blob.
CREATE TABLE git_builds (
    id BIGINT PRIMARY KEY,
    builder_id BIGINT NOT NULL REFERENCES git_builders (id),
    source_id BIGINT NOT NULL,
    tag TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    owner TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    completed_at BIGINT,
    transaction_id BIGINT,
    package TEXT NOT NULL,
    version TEXT NOT NULL,
    log TEXT NOT NULL,
    error TEXT NOT NULL
);

CREATE INDEX git_builds_at_work ON git_builds (state, id);
CREATE INDEX git_builds_of_package ON git_builds (source_id, package, version);
CREATE INDEX git_builds_of_builder ON git_builds (builder_id, id);
