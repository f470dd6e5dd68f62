"""Telegram: messages that it sends to an address of ours."""
