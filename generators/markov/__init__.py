"""Contexts and tables of the Markov generator."""
