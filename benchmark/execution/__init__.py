"""Plan, run and store the cells of a suite."""
