"""Batched sampling, its constraints, its timing and its conditions."""
