-- Devices that ask for a token. `id` is the digest of the code that the device has; `state` is pending, approved, denied, given
-- (the device has its id token) or spent (the id token was exchanged). `approver` is the id of the token of who approved.
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    challenge TEXT NOT NULL,
    state TEXT NOT NULL,
    approver TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    polled_at BIGINT NOT NULL,
    interval_seconds BIGINT NOT NULL
);
