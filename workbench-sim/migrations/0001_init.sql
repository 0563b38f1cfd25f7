CREATE TABLE licensed_users (
    id TEXT PRIMARY KEY,
    user_name TEXT NOT NULL UNIQUE,
    user_id BIGINT NOT NULL,
    is_admin BIGINT NOT NULL,
    locked BIGINT NOT NULL,
    password_hash TEXT NOT NULL,
    last_sign_in BIGINT
);

CREATE TABLE revoked_cookie (
    cookie_data TEXT PRIMARY KEY,
    expiration BIGINT NOT NULL
);

CREATE TABLE server_keys (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE active_session_metadata (
    session_id TEXT PRIMARY KEY,
    user_name TEXT NOT NULL,
    workbench TEXT NOT NULL,
    label TEXT NOT NULL,
    activity_state TEXT NOT NULL,
    status_message TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    last_state_updated BIGINT NOT NULL,
    r_version TEXT NOT NULL,
    python_version TEXT NOT NULL,
    working_directory TEXT NOT NULL,
    launch_parameters TEXT NOT NULL,
    server_url TEXT NOT NULL
);

CREATE INDEX active_session_of_user ON active_session_metadata (user_name, created);
