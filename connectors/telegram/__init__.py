"""Telegram: channels and groups that a bot is in."""
