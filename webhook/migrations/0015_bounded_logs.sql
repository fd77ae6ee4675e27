-- How many lines of a deployment's source are accounted for: kept, or left out. A container tells its log from the
-- beginning to whoever asks again, and so many lines are passed over then.
CREATE TABLE log_sources (
    deployment TEXT NOT NULL REFERENCES deployments (id),
    source TEXT NOT NULL,
    lines BIGINT NOT NULL,
    PRIMARY KEY (deployment, source)
);

INSERT INTO log_sources (deployment, source, lines)
SELECT deployment, json_extract(body, '$.source'), COUNT(*) FROM deployment_events WHERE kind = 'log'
GROUP BY deployment, json_extract(body, '$.source');
