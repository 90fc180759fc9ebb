"""A shard's rows as Parquet tables, and the damage that real logs have."""
