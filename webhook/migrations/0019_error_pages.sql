-- An app's own pages for what the gateway says in its place: those of the repository come with the release, those of the
-- image are copied out of it when it is first prepared.
CREATE TABLE release_pages (
    project TEXT NOT NULL,
    stage TEXT NOT NULL,
    app TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    status BIGINT NOT NULL,
    page TEXT NOT NULL,
    PRIMARY KEY (project, stage, app, release_number, status)
);
