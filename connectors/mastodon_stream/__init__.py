"""Mastodon: posts as they are written, edited and deleted."""
