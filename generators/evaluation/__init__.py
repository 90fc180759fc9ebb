"""Judging a synthetic log: fidelity, detection, attacks, copies, canaries."""
