"""A made-up company and everybody who talks about it."""
