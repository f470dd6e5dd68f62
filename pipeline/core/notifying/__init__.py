"""What to tell whom of an alert, when, and when to stop trying. Pure: the clock is an argument."""
