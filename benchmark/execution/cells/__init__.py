"""What each kind of cell does: a file per kind, whose `work` returns what the record says."""
