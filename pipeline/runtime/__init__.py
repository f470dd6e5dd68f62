"""Shells: they carry data and hold no logic."""
