"""An address to which other programs send mentions."""
