"""One model a file; the name of the file is its name."""
