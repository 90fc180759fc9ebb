"""Find files and read them as batches of their own columns, whatever these mean."""
