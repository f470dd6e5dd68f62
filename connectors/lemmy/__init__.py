"""Lemmy, and servers that speak its API."""
