"""Apache Kafka from the official artifacts: the pinned list, its checksums, the log settings."""
