-- Jobs of GitHub Actions that registered a release of a commit or asked for its deployment. What they report on the commit
-- follows from deploying it, and their workflows are the ones that deploy: also for deployments that a merge starts.
-- Outlives their sessions.
CREATE TABLE deploying_jobs (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    session BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    check_run_id BIGINT,
    -- 1: it registered a release
    registered BIGINT NOT NULL,
    PRIMARY KEY (project, commit_sha, stage, session, registered)
);
