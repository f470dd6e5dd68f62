"""RSS and Atom feeds, pushed by the hubs they name."""
