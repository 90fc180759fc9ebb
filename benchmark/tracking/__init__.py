"""Experiment trackers: one file each, found by its name. The contract is `benchmark.tracker`."""
