"""Connectors: sources to the topic `mentions`."""
