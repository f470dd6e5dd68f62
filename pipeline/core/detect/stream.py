"""A number at a time in, how unusual it is out. Row n depends on rows up to n and on nothing else.

What is usual is the median of the last five days, held against the same time of the days before where that is known:
a spike must stand out from both, a drop from both, so that a daily rhythm is no incident (reputation's baseline,
`pipeline.core.reputation.symptoms`, asks the same of minutes). What counts as far from it is the spread of those days,
less what the rhythm explains (median absolute deviation: incidents in it do not widen it), and, for counts, what chance
alone does to so few.
Counts are compared as logarithms, since they scatter in proportion to their size; half an hour is averaged, so that one
busy row is no incident. A series has to be known for a while before anything in it is unusual.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from pipeline.core.detect.rolling import Newest, TimeOfDay, median_of

WARM_UP: Final = 36  # rows before the first score
SMOOTHED: Final = timedelta(minutes=30)
BASELINE: Final = timedelta(days=5)
FEWEST, MOST = 60, 10_000  # rows of the baseline, whatever they are apart
THRESHOLD: Final = 3.75  # standard deviations; middle of a plateau on Twitter volumes (3 to 4): anomaly score 0.5
PAUSE: Final = timedelta(days=1)  # an incident alerts when it begins, and once a day while it lasts
WORSE: Final = 2.0  # times the worst deviation of an incident that is over: alerts again on the same day
AT_LEAST: Final = 5.0  # counted in the smoothed rows: fewer are no spike
MISSED: Final = 20.0  # expected in the smoothed rows: where fewer are usual, silence is no drop
HALF_AS_MUCH: Final = 1.5  # a small change is no incident, however sure
RARE: Final = 0.05  # a count nobody expects is still this likely
LARGEST: Final = 1e150  # larger values are taken for this one, so that no square of them is infinite


@dataclass(frozen=True, slots=True)
class Found:
    """How unusual one row is: `score` 0 to 1 (0.5 is the threshold), `alert` where an incident begins."""

    score: float
    alert: bool


CALM: Final = Found(score=0.0, alert=False)


class Detector:
    """Detects on one series. Hand it rows in the order of the file."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self._threshold = threshold
        self._first: list[tuple[datetime, float]] = []
        self._is_count = True
        self._rows = 1  # smoothed together
        self._recent: deque[tuple[datetime, float]] = deque()
        self._usual = Newest(FEWEST)
        self._apart = Newest(FEWEST)  # from the level of the time of day
        self._daily: TimeOfDay | None = None
        self._pause = PAUSE
        self._is_hot = False  # the row before was beyond the threshold
        self._alerted: tuple[datetime, float] | None = None  # when, and the worst deviation since

    def see(self, at: datetime, value: float) -> Found | None:
        """Take in one row and return how unusual it is; None where `value` is no number, which changes nothing."""
        if not math.isfinite(value):
            return None
        value = max(-LARGEST, min(LARGEST, value))
        if len(self._first) < WARM_UP:
            self._first.append((at, value))
            if len(self._first) == WARM_UP:
                self._get_to_know()
            return CALM
        level = self._smooth(at, value)
        found = self._judge(at, level)
        self._remember(at, value, level)
        return found

    def _get_to_know(self) -> None:
        """Take from the first rows how far apart they are and whether they are counts."""
        times = [at for at, _ in self._first]
        gaps = sorted(gap for before, after in pairwise(times) if (gap := (after - before).total_seconds()) > 0)
        step = timedelta(seconds=max(1.0, median_of(gaps))) if gaps else SMOOTHED
        self._rows = max(1, round(SMOOTHED / step))
        rows = max(FEWEST, min(MOST, round(BASELINE / step)))
        self._usual, self._apart = Newest(rows), Newest(rows)
        self._pause = max(PAUSE, 2 * step)
        self._daily = TimeOfDay() if step <= SMOOTHED else None
        self._is_count = all(value >= 0 and value == int(value) for _, value in self._first)
        for at, value in self._first:
            self._remember(at, value, self._smooth(at, value))

    def _smooth(self, at: datetime, value: float) -> float:
        """Return the mean of this row and those just before it, as the detector compares it."""
        recent = self._recent
        recent.append((at, value))
        while len(recent) > self._rows or at - recent[0][0] >= SMOOTHED * 2:
            if len(recent) == 1:
                break
            recent.popleft()
        return self._scaled(sum(value for _, value in recent) / len(recent))

    def _scaled(self, value: float) -> float:
        return math.copysign(math.log1p(abs(value)), value) if self._is_count else value

    def _remember(self, at: datetime, value: float, level: float) -> None:
        self._usual.add(level)
        if self._daily is not None:
            self._daily.add(at, self._scaled(value))

    def _judge(self, at: datetime, level: float) -> Found:
        usual, spread = self._usual.median(), self._usual.spread()
        daily = self._daily.levels(at) if self._daily is not None else None
        low, high = (min(usual, daily[0]), max(usual, daily[1])) if daily is not None else (usual, usual)
        if daily is not None:
            self._apart.add(level - (daily[0] + daily[1]) / 2)
            if len(self._apart) >= FEWEST:  # what the rhythm explains is no scatter
                spread = min(spread, self._apart.spread())
        above, below = (level - high) / self._error(high, spread), (low - level) / self._error(low, spread)
        if self._is_count:
            rows, count = self._rows, math.expm1(max(0.0, level))
            if count * rows < AT_LEAST or count < HALF_AS_MUCH * math.expm1(max(0.0, high)):
                above = min(above, self._threshold * 0.99)
            expected = math.expm1(max(0.0, low))
            if expected * rows < MISSED or count * HALF_AS_MUCH > expected:
                below = min(below, self._threshold * 0.99)
        far = max(above, below, 0.0)
        return Found(score=1 - 2 ** (-far / self._threshold), alert=self._is_news(at, far))

    def _error(self, centre: float, spread: float) -> float:
        """Return the standard deviation to expect around a level: the spread of the past, and chance for counts."""
        if not self._is_count:
            return max(spread, 0.05 * abs(centre), 1e-9)
        expected = max(RARE, math.expm1(max(0.0, centre)))
        chance = expected / self._rows / (1 + expected) ** 2  # Poisson's variance of a mean, on the scale of log1p
        return math.sqrt(spread * spread + chance)

    def _is_news(self, at: datetime, far: float) -> bool:
        """Whether a deviation begins an incident, outdoes one that was over, or goes on for a day more."""
        was_hot, self._is_hot = self._is_hot, far >= self._threshold
        if not self._is_hot:
            return False
        if self._alerted is not None:
            when, worst = self._alerted
            if at - when < self._pause and (was_hot or far < WORSE * worst):
                self._alerted = when, max(worst, far)
                return False
        self._alerted = at, far
        return True
