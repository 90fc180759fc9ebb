"""Generators: learn from a log, sample a new one that can be shared."""
