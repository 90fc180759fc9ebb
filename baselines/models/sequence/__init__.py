"""Sequence models and their hybrids, one file each."""
