"""The report on a synthetic log: decision, page, plots and data card."""
