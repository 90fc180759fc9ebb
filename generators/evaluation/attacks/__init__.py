"""Attacks on a synthetic log."""
