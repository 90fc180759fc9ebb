"""What is determined in a log, found before anything is learnt, and derived again in a sample."""
