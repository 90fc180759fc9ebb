"""Trains and ranks models and generators."""
