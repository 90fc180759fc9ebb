"""A log's columns as fields of small codes, and back."""
