"""Metrics, statistics, the leak detector and the utility of synthetic logs."""
