"""Reviews of businesses on Yelp."""
