"""Mappings of public formats, one TOML file each; see eventlog/ingest/mapping.py."""
