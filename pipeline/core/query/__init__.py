"""The query language of brands, campaigns and routes: `parse.py` reads it, `matcher.py` finds it in mentions."""
