"""Make the stored ceilings of simulated logs."""
