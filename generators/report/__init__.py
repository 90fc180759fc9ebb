"""The report on a synthetic log: decision, pages, plots, data card."""
