"""What every part agrees on: events, wire format, errors, metrics."""
