"""Finding the relations of a log."""
