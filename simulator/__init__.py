"""A simulated shop whose logs come with the truth that no real log has."""
