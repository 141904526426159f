"""A node's disk: the Store protocol, its RocksDB and in-memory forms, and the life of a data directory."""
