"""When people talk: by the hour and the day of the week, in the time of those who speak a language."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Final

MINUTES_OF_WEEK: Final = 7 * 1440
_MONDAY: Final = 4 * 1440  # the epoch was a Thursday; minutes until the first Monday
_HOURS: Final = (
    *(0.35, 0.22, 0.16, 0.14, 0.16, 0.30, 0.60, 0.95, 1.20, 1.30, 1.30, 1.30),
    *(1.35, 1.30, 1.20, 1.20, 1.25, 1.35, 1.50, 1.65, 1.70, 1.45, 1.05, 0.65),
)
"""How much is said at each full hour of local time."""
_DAYS: Final = (1.06, 1.05, 1.03, 1.02, 1.04, 0.92, 0.88)
"""How much is said on each day, Monday first."""
_AHEAD: Final[Mapping[str, int]] = {"en": -120, "de": 60, "es": 0, "fr": 60, "it": 60, "pt": -180}
"""Minutes that a language's speakers are ahead of UTC, on average over where they live."""


def _raw(minute: int) -> float:
    """Return how much is said in a minute of local time, not yet to a mean of 1."""
    day, rest = divmod((minute - _MONDAY) % MINUTES_OF_WEEK, 1440)
    hour, past = divmod(rest, 60)
    share = past / 60
    return ((1 - share) * _HOURS[hour] + share * _HOURS[(hour + 1) % 24]) * _DAYS[day]


_MEAN: Final = sum(_raw(minute) for minute in range(0, MINUTES_OF_WEEK, 10)) / (MINUTES_OF_WEEK / 10)


def of_language(language: str, minute: int) -> float:
    """Return how much its speakers say in an epoch minute; the mean over a week is 1."""
    return _raw(minute + _AHEAD.get(language, 0)) / _MEAN


def mix(languages: Mapping[str, float], minute: int) -> dict[str, float]:
    """Return how much is said in each language in an epoch minute; the mean of the sum over a week is 1."""
    whole = sum(languages.values())
    return {language: share / whole * of_language(language, minute) for language, share in languages.items()}


def poisson(rng: random.Random, mean: float) -> int:
    """Return how many come where `mean` do on average, each for itself."""
    if mean <= 0:
        return 0
    if mean > 60:  # there it looks like a normal distribution, which costs one draw
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count
