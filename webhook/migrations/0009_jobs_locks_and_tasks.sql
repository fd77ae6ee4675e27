-- The workflow's run whose job locked the stage, or started the task; NULL: a person did.
ALTER TABLE locks ADD COLUMN run_id BIGINT;
ALTER TABLE one_off_tasks ADD COLUMN run_id BIGINT;
