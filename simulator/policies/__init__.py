"""What decides which items each user sees: one file a policy, whose name is its name."""
