"""Models of uplift: how much a treatment raises the probability of an outcome."""
