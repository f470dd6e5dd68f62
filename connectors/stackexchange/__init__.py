"""Questions, answers and comments on Stack Exchange."""
