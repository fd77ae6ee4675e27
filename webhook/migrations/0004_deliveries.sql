-- Deliveries with what it takes to work on them fairly: each has its own next attempt. The body comes last, so that whoever
-- reads the rest of a row does not read it.
CREATE TABLE deliveries_anew (
    guid TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    received_at TEXT NOT NULL,
    -- received, processed or failed
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    outcome TEXT,
    processed_at TEXT,
    -- empty once it is not needed any more
    body TEXT NOT NULL
);
INSERT INTO deliveries_anew
    (guid, event, received_at, state, attempts, next_attempt_at, outcome, processed_at, body)
    SELECT guid, event, received_at, state, attempts, received_at, outcome, processed_at, body FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_anew RENAME TO deliveries;
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state = 'received';
CREATE INDEX deliveries_by_age ON deliveries (received_at);

-- When GitHub was asked to deliver a missed one again.
CREATE TABLE redeliveries (
    guid TEXT PRIMARY KEY,
    asked_at TEXT NOT NULL
);

-- What GitHub calls a repository now, where that is not what the server's file calls it.
CREATE TABLE current_names (
    repository_id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    learnt_at TEXT NOT NULL
);
