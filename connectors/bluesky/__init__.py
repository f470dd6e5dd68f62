"""Bluesky posts, as they are written."""
