"""Python's garbage collector, set for a process that judges mentions."""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 20_000  # objects made and not freed until the young ones are looked at; Python's own is 700
OLDER: Final = 20  # such looks until older ones are looked at, and of those until all are


def settle() -> None:
    """Leave what is there now out of every collection, and collect less often.

    Rules, lexicons and queries stay as long as the process: to walk through them again and again finds nothing. What a
    mention leaves behind holds no cycles and goes without the collector. Measured on triage with Kafka: 3 to 8 % of a
    mention's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
