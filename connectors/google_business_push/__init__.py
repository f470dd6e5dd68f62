"""Google Business Profile, told by Pub/Sub as soon as there is a review."""
