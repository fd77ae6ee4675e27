-- Which project has a host name, or the part of one below a path, and which deployment asked for it last. It was had first
-- by whose row is here; what nobody serves any more is taken out before somebody asks for it.
CREATE TABLE host_claims (
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    project TEXT NOT NULL,
    -- NULL: it was served before this was written down
    deployment TEXT,
    claimed_at TEXT NOT NULL,
    PRIMARY KEY (host, path)
);
