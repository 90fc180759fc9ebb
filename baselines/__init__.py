"""Models that predict: simple ones that a sceptic demands, and sequence models."""
