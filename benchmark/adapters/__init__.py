"""Adapt packages to each other: the calibrated simulator as a generator, utility for reports."""
