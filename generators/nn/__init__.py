"""Networks that the neural generators share, and their training."""
