"""Files of JSON Lines that grow."""
