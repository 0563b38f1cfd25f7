-- Blocklist rules, each as it was from one transaction to before another, with the times of these. `rule` is JSON.
CREATE TABLE blocklist_rules (
    id BIGINT NOT NULL,
    since_tx BIGINT NOT NULL,
    since BIGINT NOT NULL,
    until_tx BIGINT NOT NULL,
    until BIGINT NOT NULL,
    rule TEXT NOT NULL,
    PRIMARY KEY (id, since_tx)
);
