"""Differential privacy for generators and calibration: noise, and lists declared public."""
