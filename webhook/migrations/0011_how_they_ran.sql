-- The order in which a stage's deployments ran, which is not that in which they were asked for.
ALTER TABLE deployments ADD COLUMN generation BIGINT;
UPDATE deployments SET generation = (SELECT p.generation FROM plans p WHERE p.deployment = deployments.id);
-- Somebody let it pass whatever its gate would say.
ALTER TABLE deployments ADD COLUMN gate_overridden BIGINT NOT NULL DEFAULT 0;
