"""Judge models: each runs in a process of its own and answers; this side asks and measures."""
