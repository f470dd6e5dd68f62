"""The feeling of a text: VADER exactly, and a score that stands on it."""
