"""earshot.yaml: its shape, its reading, its advice."""
