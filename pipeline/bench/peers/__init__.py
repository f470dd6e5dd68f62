"""Other ways to do the same work, each a small program of its own: what `earshot bench` compares with."""
