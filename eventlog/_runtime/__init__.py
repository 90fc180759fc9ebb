"""What every command line shares: errors, plain-line progress, executors, files, plug-ins."""
