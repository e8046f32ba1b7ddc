"""Apache Kafka: reading, writing, administration, and a local broker. The only importer of its clients."""
