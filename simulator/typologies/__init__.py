"""One typology of abuse a file; the file's name is its name."""
