-- What has ended is looked for by when it did.
CREATE INDEX deployments_by_end ON deployments (ended_at);
CREATE INDEX deployments_by_commit ON deployments (project, commit_sha);
CREATE INDEX one_off_tasks_by_end ON one_off_tasks (ended_at);
CREATE INDEX audit_by_time ON audit (at);
