"""Guess what columns mean from their names and values."""
