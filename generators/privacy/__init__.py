"""Differential privacy: accounting, private queries and counts, statement, budget book."""
