"""Forums that run Discourse."""
