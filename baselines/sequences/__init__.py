"""Item histories and transition counts for next-item models."""
