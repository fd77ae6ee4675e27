-- Built from more than its commit: such a release is never taken for the commit's.
ALTER TABLE releases ADD COLUMN uncommitted BIGINT NOT NULL DEFAULT 0;
