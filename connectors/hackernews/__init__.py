"""Hacker News, through the Algolia search API."""
