-- Each app of a deployment has a commit of its own: releases that were built from different ones go together.
ALTER TABLE deployment_releases ADD COLUMN commit_sha TEXT NOT NULL DEFAULT '';
UPDATE deployment_releases SET commit_sha = COALESCE(
    (SELECT r.commit_sha FROM deployments d JOIN releases r ON r.project = d.project AND r.stage = d.stage
     WHERE d.id = deployment_releases.deployment AND r.app = deployment_releases.app
     AND r.number = deployment_releases.release_number),
    (SELECT d.commit_sha FROM deployments d WHERE d.id = deployment_releases.deployment), '');
CREATE INDEX deployment_releases_by_commit ON deployment_releases (commit_sha);
