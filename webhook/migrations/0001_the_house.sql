-- Times are RFC 3339 in UTC with a fixed number of digits, so that they sort as text. Booleans are 0 and 1.

-- One row: which installation this store is of.
CREATE TABLE installation (
    id TEXT PRIMARY KEY,
    created_at TEXT NOT NULL
);

-- Numbers that only ever grow: releases per stage and app, deployments, generations.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Stored before GitHub gets its answer. A delivery is keyed by GitHub's GUID, which a redelivery keeps.
CREATE TABLE deliveries (
    guid TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    received_at TEXT NOT NULL,
    -- received, processed or failed
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    outcome TEXT,
    processed_at TEXT
);
CREATE INDEX deliveries_open ON deliveries (state, received_at);

-- What GitHub's repository id was learnt to be. The name is the key of the server's file.
CREATE TABLE projects (
    name TEXT PRIMARY KEY,
    repository_id BIGINT NOT NULL UNIQUE,
    learnt_at TEXT NOT NULL
);

-- What the stage's branch wants. Independent of whether a release of that commit exists yet: either may come first.
CREATE TABLE wanted_commits (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    source TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    wanted_at TEXT NOT NULL,
    PRIMARY KEY (project, stage)
);

-- When a commit was first heard of: the grace for CI to appear counts from here.
CREATE TABLE commits (
    project TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    first_seen TEXT NOT NULL,
    -- the last time GitHub said that something about its checks changed
    checks_changed_at TEXT,
    PRIMARY KEY (project, commit_sha)
);

CREATE TABLE releases (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    number BIGINT NOT NULL,
    commit_sha TEXT NOT NULL,
    digest TEXT NOT NULL,
    image TEXT,
    config TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (project, stage, app, number)
);
CREATE INDEX releases_by_commit ON releases (project, stage, app, commit_sha);

-- A stage's own settings for an app; what runs is release + settings + secrets, and plans pin all three.
CREATE TABLE stage_settings (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    version BIGINT NOT NULL,
    settings TEXT NOT NULL,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (project, stage, app, version)
);

-- A version per change of a stage's secrets, told by a keyed fingerprint; the values are never stored.
CREATE TABLE secret_versions (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    version BIGINT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (project, stage, version)
);

CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    -- the order in which they were asked for; never a clock
    number BIGINT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- merge, push, person: what asked for it
    source TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    reason TEXT,
    commit_sha TEXT NOT NULL,
    -- where the app is reached; GitHub is told with success
    environment_url TEXT,
    created_at TEXT NOT NULL,
    -- The three below are derived from the events and written with them, so that they can be searched.
    state TEXT NOT NULL,
    ended_at TEXT,
    retired BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX deployments_by_stage ON deployments (project, stage, number);
CREATE INDEX deployments_by_state ON deployments (state, retired);

CREATE TABLE deployment_releases (
    deployment TEXT NOT NULL REFERENCES deployments (id),
    app TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    PRIMARY KEY (deployment, app)
);

-- Append-only. Log lines share the sequence, so that a stream can be resumed at any place.
CREATE TABLE deployment_events (
    deployment TEXT NOT NULL REFERENCES deployments (id),
    seq BIGINT NOT NULL,
    at TEXT NOT NULL,
    version BIGINT NOT NULL,
    -- event or log
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (deployment, seq)
);
CREATE INDEX deployment_events_by_kind ON deployment_events (deployment, kind, seq);

-- Stored before the first step runs; never edited.
CREATE TABLE plans (
    deployment TEXT PRIMARY KEY REFERENCES deployments (id),
    generation BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL
);

-- What a stage's app serves: written in the same transaction as the switch's own event.
CREATE TABLE active_releases (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    deployment TEXT NOT NULL REFERENCES deployments (id),
    since TEXT NOT NULL,
    -- what it took over from, for the case that it is put back
    previous_release BIGINT,
    previous_deployment TEXT,
    previous_since TEXT,
    PRIMARY KEY (project, stage, app)
);

-- A release's migration succeeds once.
CREATE TABLE migrations_done (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    deployment TEXT NOT NULL,
    done_at TEXT NOT NULL,
    PRIMARY KEY (project, stage, app, release_number)
);

-- A machine's claim on a stage while it works.
CREATE TABLE leases (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    holder TEXT NOT NULL,
    deployment TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (project, stage)
);

-- A person's claim.
CREATE TABLE locks (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    etag TEXT NOT NULL,
    reason TEXT NOT NULL,
    locked_by TEXT NOT NULL,
    locked_at TEXT NOT NULL,
    PRIMARY KEY (project, stage)
);

-- Left by a rollback.
CREATE TABLE holds (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    deployment TEXT NOT NULL,
    held_at TEXT NOT NULL,
    PRIMARY KEY (project, stage)
);

-- What GitHub is to be told, in order per deployment.
CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    deployment TEXT NOT NULL REFERENCES deployments (id),
    message TEXT NOT NULL,
    created_at TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at TEXT NOT NULL,
    last_error TEXT,
    sent_at TEXT
);
CREATE INDEX outbox_open ON outbox (sent_at, id);

CREATE TABLE github_deployments (
    deployment TEXT PRIMARY KEY REFERENCES deployments (id),
    github_id BIGINT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE one_off_tasks (
    id TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    spec TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT,
    exit_code BIGINT,
    failure TEXT
);

-- What a one-off task wrote, so that its log outlives its container.
CREATE TABLE task_log (
    task TEXT NOT NULL REFERENCES one_off_tasks (id),
    seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (task, seq)
);

CREATE TABLE tokens (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    -- SHA-256 of the token: it has 256 random bits, so nothing slower is needed
    hash TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    project TEXT,
    stage TEXT,
    created_at TEXT NOT NULL,
    last_used_at TEXT,
    revoked_at TEXT
);

CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    project TEXT,
    stage TEXT,
    detail TEXT NOT NULL
);
