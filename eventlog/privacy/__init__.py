"""Differential privacy that generators and the simulator's calibration share: noise, public
lists.
"""
