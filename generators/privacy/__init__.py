"""Differential privacy: queries, counts, ledger, statement, budget book."""
