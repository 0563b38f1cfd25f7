CREATE TABLE webhooks (
    guid TEXT PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret TEXT NOT NULL,
    active BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE webhook_deliveries (
    id BIGINT PRIMARY KEY,
    guid TEXT NOT NULL,
    webhook_guid TEXT NOT NULL REFERENCES webhooks (guid) ON DELETE CASCADE,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    created BIGINT NOT NULL,
    due BIGINT,
    attempts BIGINT NOT NULL,
    status BIGINT,
    error TEXT
);
CREATE INDEX webhook_deliveries_webhook ON webhook_deliveries (webhook_guid, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (due);
