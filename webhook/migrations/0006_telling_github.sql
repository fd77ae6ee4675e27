-- What is told first when GitHub's limits are tight: 0 last words, 1 progress, 2 what was replaced.
ALTER TABLE outbox ADD COLUMN urgency BIGINT NOT NULL DEFAULT 1;
UPDATE outbox SET urgency = 0 WHERE message LIKE '{"state":"success"%' OR message LIKE '{"state":"failure"%'
    OR message LIKE '{"state":"error"%';
UPDATE outbox SET urgency = 2 WHERE message LIKE '{"state":"inactive"%';
CREATE INDEX outbox_by_deployment ON outbox (deployment, id);

-- GitHub made the deployment of this other commit: it is closed there, and nothing else is told of it.
ALTER TABLE github_deployments ADD COLUMN wrong_commit TEXT;

-- The pull request that a commit was merged by.
CREATE TABLE merged_by (
    project TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    pull_request BIGINT NOT NULL,
    base_branch TEXT NOT NULL,
    PRIMARY KEY (project, commit_sha)
);

-- Our comment on a pull request. GitHub's id of it is found again by its marker, should it be lost here.
CREATE TABLE comments (
    project TEXT NOT NULL,
    pull_request BIGINT NOT NULL,
    github_id BIGINT,
    -- why nothing more is written: the conversation is locked, say
    ended TEXT,
    PRIMARY KEY (project, pull_request)
);

-- Which state of a deployment its comment tells, or needs not tell. Deployments from before there were comments are
-- not told.
CREATE TABLE commented (
    deployment TEXT PRIMARY KEY REFERENCES deployments (id),
    state TEXT NOT NULL
);
INSERT INTO commented (deployment, state) SELECT id, state FROM deployments;
