"""Google Business Profile: reviews of own locations."""
