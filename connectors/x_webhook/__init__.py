"""X: what it sends to an address of ours."""
