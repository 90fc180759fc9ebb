"""Logs that memory does not hold: their parts, their columns one at a time, arrays in files."""
