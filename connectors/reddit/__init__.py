"""Posts and comments on Reddit."""
