"""Bluesky posts that the network's search finds."""
