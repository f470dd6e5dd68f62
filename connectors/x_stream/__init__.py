"""X: posts that match rules, as they are written."""
