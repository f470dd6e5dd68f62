"""The stage reputation: Faust carries pulses to the fold, and what the fold says to `alerts`. Begin with `worker.py`."""
