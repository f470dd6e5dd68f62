"""What is not as usual in one scope: spike, drop, negative share, tone. Each with a score: 1 is its threshold.

Counts a minute scatter more than Poisson's, so the test is (n - E) / sqrt(scatter x E + 1), with the scatter
estimated from the minutes before (index of dispersion). The usual rate is the median of five-minute rates of the hour
before the window, held against the same time yesterday where that is known: a spike must stand out from both, a drop
from both, so that a daily rhythm is no incident. On the first day, when that rhythm is not known, a spike must be twice
as far above the usual. Minutes of incidents are left out of it.

Measured on ordinary days of the simulator (`connectors/simulator`: 1,200 mentions an hour, rhythm of the day, no incident,
seeds 1 to 6, the first 24 hours from 06:00): no alarm, and eight before more was asked of a tone and of the first day.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from statistics import median
from typing import Final

from pipeline.config.model import AlertRules
from pipeline.contract.events import Symptom
from pipeline.core.reputation.state import BLOCK, FINE, Brand, Minute, Series, Usual, total

WARM_UP: Final = 10  # minutes a scope must be known before anything about it is unusual
CHUNK: Final = 5  # minutes whose rates the median is taken of
MAX_SCATTER: Final = 12.0
PRIOR: Final = (2.0, 8.0)  # negative share before anything is known: 2 of 8
TONE_SHIFT: Final = 0.35  # change of the mean score that turns a campaign's tone
TONE_SCATTER: Final = 0.5  # standard deviation of scores, at the most
TONE_ERRORS: Final = 4.0  # standard errors a tone must be away from the usual one: it is looked at every minute
AT_LEAST: Final = 0.5  # how much more than usual a spike is at the least, as a share
AT_LEAST_AT_FIRST: Final = 1.0  # and where nobody knows how this time of the day usually is
PROPORTION: Final = 3.0  # standard errors a share must be away from the usual one
DAY: Final = 1440


def at(minute: int) -> datetime:
    """Return a minute as an instant."""
    return datetime.fromtimestamp(minute * 60, UTC)


def window(rules: AlertRules) -> int:
    """Return the window in whole minutes, within what is kept minute by minute."""
    return max(1, min(FINE - 30, round(rules.window / 60)))


def usual(state: Brand, scope: str, rules: AlertRules, before: int) -> Usual | None:
    """Return what is usual in a scope from the hour that ends at minute `before`; None when too little is known."""
    series = state.series.get(scope)
    if series is None:
        return None
    first = max(before - 60, before - FINE + window(rules), series.first)
    calm = [minute for minute in range(first, before + 1) if not _is_hot(state, minute)]
    if len(calm) < WARM_UP:
        return None
    cells = [series.minutes.get(minute) for minute in calm]
    counts = [cell[0] if cell else 0.0 for cell in cells]
    chunks = [sum(counts[start : start + CHUNK]) / CHUNK for start in range(0, len(counts) - CHUNK + 1, CHUNK)]
    mean = sum(counts) / len(counts)
    rate = median(chunks) if len(chunks) >= 4 else mean
    variance = sum((count - mean) ** 2 for count in counts) / max(1, len(counts) - 1)
    sums = [sum(cell[place] for cell in cells if cell) for place in range(5)]
    for block in series.blocks.values():  # shares and tone change slowly: all that is known of them
        for place in range(5):
            sums[place] += block[place] * 0.25
    negative = (sums[1] + PRIOR[0]) / (sums[0] + PRIOR[1])
    return Usual(
        rate=max(rate, 0.01),
        scatter=min(MAX_SCATTER, max(1.0, variance / mean if mean else 1.0)),
        negative=negative,
        tone=sums[3] / sums[0] if sums[0] else 0.0,
        minutes=len(calm),
    )


def _is_hot(state: Brand, minute: int) -> bool:
    return any(first <= minute <= last for first, last in state.hot)


def yesterday(series: Series, minute: int) -> float | None:
    """Return mentions a minute at this time a day before; None when that is not known."""
    block = (minute - DAY) // BLOCK
    near = [series.blocks[b][0] / BLOCK for b in (block - 1, block, block + 1) if b in series.blocks]
    return sum(near) / len(near) if len(near) == 3 else None


def find(state: Brand, rules: AlertRules, known: dict[str, Usual]) -> Iterator[Symptom]:
    """Yield every symptom that is at least half way to its threshold. `known` are baselines to use instead of today's."""
    length, now = window(rules), state.watermark
    for scope, series in state.series.items():
        normal = known.get(scope) or usual(state, scope, rules, now - length)
        if normal is None:
            continue
        whole = total(series, now - length + 1, now)
        quick_length = max(1, length // 3)
        quick = total(series, now - quick_length + 1, now)
        spikes = [
            _spike(series, scope, counts, normal, minutes, rules, now)
            for counts, minutes in ((whole, length), (quick, quick_length))
        ]
        yield from max(([s] for s in spikes if s), key=lambda s: s[0].score, default=[])
        if scope.startswith("campaign:"):
            yield from _tone(scope, whole, normal, length, rules, now)
        else:
            yield from _drop(series, scope, normal, length, rules, now)
        yield from _negative(scope, max((whole, quick), key=lambda c: _share(c, normal)), normal, length, rules, now)


def _spike(
    series: Series, scope: str, counts: Minute, normal: Usual, minutes: int, rules: AlertRules, now: int
) -> Symptom | None:
    n, before = counts[0], yesterday(series, now)
    expected = max(normal.rate, before or 0.0) * minutes
    if n < rules.min_mentions or n <= expected:
        return None
    z = (n - expected) / math.sqrt(normal.scatter * expected + 1)
    # A small absolute change is no incident, however sure.
    score = min(z / rules.spike, (n / expected - 1) / (AT_LEAST_AT_FIRST if before is None else AT_LEAST))
    return _symptom("spike", scope, n / minutes, expected / minutes, score, now - minutes + 1)


def _drop(series: Series, scope: str, normal: Usual, length: int, rules: AlertRules, now: int) -> Iterator[Symptom]:
    end = now - 1 - round(rules.lateness / 60)  # what may still come late is not missed yet
    before = yesterday(series, end)
    expected = min(normal.rate, normal.rate if before is None else before) * length
    if expected < rules.min_mentions or normal.minutes < 2 * WARM_UP:
        return
    n = total(series, end - length + 1, end)[0]
    z = (expected - n) / math.sqrt(normal.scatter * expected + 1)
    score = min(z / rules.drop, (1 - n / expected) / 0.5)
    symptom = _symptom("drop", scope, n / length, expected / length, score, end - length + 1)
    if symptom:
        yield symptom


def _share(counts: Minute, normal: Usual) -> float:
    return (counts[1] / counts[0] - normal.negative) if counts[0] else 0.0


def _negative(scope: str, counts: Minute, normal: Usual, length: int, rules: AlertRules, now: int) -> Iterator[Symptom]:
    n, negative = counts[0], counts[1]
    if n < rules.min_mentions:
        return
    share = negative / n
    error = math.sqrt(max(normal.negative * (1 - normal.negative), 0.05) / n)
    score = min((share - normal.negative) / rules.negative_share, (share - normal.negative) / (PROPORTION * error))
    symptom = _symptom("negative_share", scope, share, normal.negative, score, now - length + 1)
    if symptom:
        yield symptom


def _tone(scope: str, counts: Minute, normal: Usual, length: int, rules: AlertRules, now: int) -> Iterator[Symptom]:
    n = counts[0]
    if n < max(5, rules.min_mentions / 2):
        return
    tone = counts[3] / n
    shift = max(TONE_SHIFT, TONE_ERRORS * TONE_SCATTER / math.sqrt(n))
    score = (normal.tone - tone) / shift if tone < 0 else 0.0
    symptom = _symptom("tone", scope, tone, normal.tone, score, now - length + 1)
    if symptom:
        yield symptom


def _symptom(kind: str, scope: str, value: float, baseline: float, score: float, since: int) -> Symptom | None:
    if score < 0.5:
        return None
    return Symptom(
        kind=kind,
        scope=scope,
        value=round(value, 4),
        baseline=round(baseline, 4),
        score=round(score, 3),
        since=at(since),
    )
