-- Apps that are kept from their clients. What has ended stays, so that a gateway that was away hears of it.
CREATE TABLE maintenance (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    -- Grows with every word about any of them: a gateway refuses what is older than what it knows.
    number BIGINT NOT NULL,
    message TEXT,
    begun_by TEXT NOT NULL,
    begun_at TEXT NOT NULL,
    ended_at TEXT,
    PRIMARY KEY (project, stage, app)
);
