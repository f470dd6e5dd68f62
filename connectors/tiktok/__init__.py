"""TikTok, through its Research API."""
