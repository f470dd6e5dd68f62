"""Mastodon: posts that a server's search finds."""
