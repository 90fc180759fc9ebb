"""Other packages in the roles that the benchmark needs: the calibrated simulator as a generator."""
