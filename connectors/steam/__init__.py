"""Reviews of games on Steam."""
