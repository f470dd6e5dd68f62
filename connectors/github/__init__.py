"""Issues, pull requests, discussions and comments on GitHub."""
