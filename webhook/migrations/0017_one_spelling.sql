-- An enum's word stands in its column as it is written everywhere else. These had it as JSON, in quotes.
UPDATE wanted_commits SET source = TRIM(source, '"');
UPDATE deployments SET kind = TRIM(kind, '"'), source = TRIM(source, '"');
