"""Contexts of the Markov generator, and its tables under a privacy budget."""
