"""Sample many users at a time: constraints, timing and conditions."""
