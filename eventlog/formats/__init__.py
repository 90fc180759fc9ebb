"""Export formats, a file each, whose name is the format's: `FOLDER` and `write(log, path)`."""
