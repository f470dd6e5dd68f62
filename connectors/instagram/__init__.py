"""Instagram: what is said to and about a business account."""
