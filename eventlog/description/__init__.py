"""What a log looks like: facts gathered part by part, what stands out, drift, and a page."""
