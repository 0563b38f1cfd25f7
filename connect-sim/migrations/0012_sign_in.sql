CREATE TABLE login_attempts (
    state TEXT PRIMARY KEY,
    browser TEXT NOT NULL,
    nonce TEXT NOT NULL,
    verifier TEXT NOT NULL,
    return_to TEXT NOT NULL,
    expires BIGINT NOT NULL
);

CREATE TABLE provided_groups (
    group_guid TEXT PRIMARY KEY REFERENCES user_groups (guid) ON DELETE CASCADE
);

CREATE TABLE idp_users (
    sub TEXT PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    member_of TEXT NOT NULL
);

CREATE TABLE idp_codes (
    sha256 TEXT PRIMARY KEY,
    sub TEXT NOT NULL REFERENCES idp_users (sub) ON DELETE CASCADE,
    redirect_uri TEXT NOT NULL,
    nonce TEXT,
    challenge TEXT,
    expires BIGINT NOT NULL
);
