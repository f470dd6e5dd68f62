"""The shell of learning: feedback in, lessons out, and every triage worker that follows them."""
