"""Mappings of public formats, one TOML file each; see eventlog/mapping.py."""
