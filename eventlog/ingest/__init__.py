"""A team's own file or table as an event log."""
