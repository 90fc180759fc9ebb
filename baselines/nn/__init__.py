"""Embedding, backbones, heads and training of the neural models."""
