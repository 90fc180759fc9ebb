"""One generator a file; the name of the file is its name."""
