"""What `earshot connectors new` copies."""
