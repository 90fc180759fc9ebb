"""The shop that all shoppers see: its catalogue and its pages."""
