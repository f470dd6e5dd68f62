"""YouTube: videos, and what is said under them."""
