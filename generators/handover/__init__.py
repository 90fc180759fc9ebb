"""The hand-over: from a real log, step by step, to a folder that may leave the house."""
