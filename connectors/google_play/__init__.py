"""Google Play: reviews of an own app."""
