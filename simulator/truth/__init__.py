"""What is truly known of a simulated log: oracles for audits and ceilings, never for a model."""
