"""Fit a scenario to a team's own log."""
