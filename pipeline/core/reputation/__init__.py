"""Has the brand's reputation turned? A fold over counts and time; see `fold.py`."""
