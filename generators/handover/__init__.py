"""From a real log to a folder that may travel, step by step."""
