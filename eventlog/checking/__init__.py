"""What a check looks at, beyond the types and the order of the rows."""
