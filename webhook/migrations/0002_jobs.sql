-- What a job of GitHub Actions signed in as. Only the hash of its token is kept; the token is derived from GitHub's own
-- and a key that is not in here. A token of GitHub's (its jti) is exchanged once.
CREATE TABLE sessions (
    id BIGINT PRIMARY KEY,
    jti TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    ref TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    event TEXT NOT NULL,
    run_id BIGINT NOT NULL,
    run_attempt BIGINT NOT NULL,
    -- GitHub's id of the job's own check run, where it says it
    check_run_id BIGINT,
    actor TEXT NOT NULL,
    workflow_ref TEXT,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Which jobs asked for a deployment, or were given it when they asked for the same: they wait for it, so that it does
-- not wait for them. Outlives their sessions.
CREATE TABLE deployment_jobs (
    deployment TEXT NOT NULL REFERENCES deployments (id),
    session BIGINT NOT NULL,
    check_run_id BIGINT,
    PRIMARY KEY (deployment, session)
);
