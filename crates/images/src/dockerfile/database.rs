//! Images of databases and the like, which people extend a little and do not deploy as apps.

/// The last part of their names.
const NAMES: [&str; 40] = [
    "cassandra",
    "clickhouse",
    "clickhouse-server",
    "cockroach",
    "couchdb",
    "elasticsearch",
    "etcd",
    "influxdb",
    "kafka",
    "mariadb",
    "memcached",
    "meilisearch",
    "minio",
    "mongo",
    "mongodb",
    "mongodb-community-server",
    "mysql",
    "mysql-server",
    "nats",
    "neo4j",
    "opensearch",
    "percona",
    "percona-server",
    "pgvector",
    "postgis",
    "postgres",
    "postgresql",
    "rabbitmq",
    "redis",
    "redis-stack",
    "redis-stack-server",
    "redpanda",
    "scylla",
    "server",
    "solr",
    "timescaledb",
    "timescaledb-ha",
    "typesense",
    "valkey",
    "zookeeper",
];

/// What starts them.
const PROGRAMS: [&str; 14] = [
    "cassandra",
    "docker-entrypoint.sh",
    "mariadbd",
    "memcached",
    "mongod",
    "mysqld",
    "nats-server",
    "neo4j",
    "postgres",
    "rabbitmq-server",
    "redis-server",
    "redis-stack-server",
    "valkey-server",
    "minio",
];

/// Whether an image is a database's.
pub(super) fn is_database(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    let last = last.split(':').next().unwrap_or_default().to_ascii_lowercase();
    // Microsoft calls theirs `mssql/server`.
    NAMES.contains(&last.as_str()) && (last != "server" || folder.ends_with("mssql"))
}

/// Whether a `CMD` only starts the database: by its name, or with options.
pub(super) fn starts_it(command: &str) -> bool {
    let list = serde_json::from_str::<Vec<String>>(command).ok();
    let words = list.unwrap_or_else(|| super::instructions::words(command));
    words
        .first()
        .is_none_or(|first| first.starts_with('-') || PROGRAMS.contains(&first.rsplit('/').next().unwrap_or_default()))
}
