"""Tips about places on Foursquare."""
