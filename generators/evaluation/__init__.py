"""How close a synthetic log is to a real one, and what attacks learn from it."""
