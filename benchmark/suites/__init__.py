"""Suites as TOML; a new one is a new file."""
