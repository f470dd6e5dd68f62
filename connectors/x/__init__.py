"""X (Twitter), API version 2."""
