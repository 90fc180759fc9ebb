"""A log as training steps of each user, and sampled steps as a log."""
