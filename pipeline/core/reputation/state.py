"""What reputation remembers of one brand: bounded, and all of it a value.

Time is event time in whole minutes since the epoch. A series is what is said in one scope: the brand, one source of it
(`source:rss`), one campaign (`campaign:spring`). Of the last hour every minute is kept, of the time before only
blocks, which the baseline needs.

Measured: with 50 sources and a full baseline of 24 hours a state is 440 kB of JSON, 91 kB compressed; it takes about
10 ms to write and as much to read. A pulse takes 25 microseconds, the first one of a new minute, which looks at all
windows, 5 to 30 ms with 50 sources.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from msgspec import Struct, field

from pipeline.contract.events import Counts

FINE: Final = 90  # minutes kept one by one
BLOCK: Final = 15  # minutes in a block
MAX_SERIES: Final = 200  # scopes of one brand; a source more is counted in the brand only
MAX_CELLS: Final = 200_000  # minutes and blocks of all scopes: with a long baseline there are fewer scopes
MAX_TOP: Final = 12
MAX_TERMS: Final = 60

Minute = list[float]  # mentions, negative, positive, sum of scores, reach


class Series(Struct):
    """Counts of one scope. `first` is the first minute ever seen of it."""

    first: int
    minutes: dict[int, Minute] = field(default_factory=dict)
    blocks: dict[int, Minute] = field(default_factory=dict)


class Usual(Struct, frozen=True):
    """What is usual for a scope: mentions a minute, how much more than Poisson they scatter, negative share, tone."""

    rate: float
    scatter: float
    negative: float
    tone: float
    minutes: int  # how many minutes this is from


class Incident(Struct):
    """An open incident, with the baselines as they stood when it opened."""

    name: str
    fingerprint: str
    severity: str
    started: int  # minute
    sequence: int
    calm_since: int | None = None
    updated: int = 0
    usual: dict[str, Usual] = field(default_factory=dict)
    symptoms: dict[str, float] = field(default_factory=dict)  # "kind scope" -> highest score so far
    is_held: bool = False


class Seen(Struct):
    """A mention that may be quoted."""

    minute: int
    id: str
    reach: int
    label: str
    url: str | None = None
    story: str | None = None


class Brand(Struct):
    """All state of one brand. `offsets` are the last applied offsets of the input partitions."""

    brand: str
    offsets: dict[int, int] = field(default_factory=dict)
    watermark: int = 0  # newest minute we know to have begun
    newest: int = 0  # newest minute a pulse was of
    quiet_ticks: int = 0
    behind: int = 0  # minutes between the newest pulse's minute and when triage wrote it
    judged: int = 0  # minute of the last evaluation
    counted: int = 0  # mentions folded, ever
    late: int = 0  # mentions too late for any window
    series: dict[str, Series] = field(default_factory=dict)
    hot: list[tuple[int, int]] = field(default_factory=list)  # minutes of incidents: no baseline is made of them
    pending: dict[str, int] = field(default_factory=dict)  # incident name -> minute it was first suspected
    incidents: dict[str, Incident] = field(default_factory=dict)
    top: list[Seen] = field(default_factory=list)
    terms: dict[int, dict[str, int]] = field(default_factory=dict)  # block -> term -> how often
    stories: dict[int, dict[str, int]] = field(default_factory=dict)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Brand)


def dump(state: Brand) -> bytes:
    """Return a state as bytes, for its topic: JSON, compressed, as figures repeat."""
    return zlib.compress(_encoder.encode(state), 1)


def load(value: bytes) -> Brand:
    """Return the state in these bytes. What has grown old meanwhile goes with the next minute."""
    return _decoder.decode(zlib.decompress(value))


def add(series: Series, minute: int, counts: Counts, *, only_blocks: bool) -> None:
    """Add one slice to a series."""
    values = (counts.mentions, counts.negative, counts.positive, counts.score_sum, counts.reach)
    cells = [series.blocks.setdefault(minute // BLOCK, [0.0] * 5)]
    if not only_blocks:
        cells.append(series.minutes.setdefault(minute, [0.0] * 5))
    for cell in cells:
        for place, value in enumerate(values):
            cell[place] += value
    series.first = min(series.first, minute)


def total(series: Series, first: int, last: int) -> Minute:
    """Return the sum over the minutes first to last, both included."""
    sums = [0.0] * 5
    minutes = series.minutes
    for minute in range(first, last + 1):
        cell = minutes.get(minute)
        if cell is not None:
            for place in range(5):
                sums[place] += cell[place]
    return sums


def forget(state: Brand, keep_minutes: int) -> None:
    """Drop what is older than the fine minutes and the baseline; empty series go."""
    oldest, oldest_block = state.watermark - FINE, (state.watermark - keep_minutes) // BLOCK
    for scope in list(state.series):
        series = state.series[scope]
        if series.minutes and min(series.minutes) <= oldest:
            series.minutes = {minute: cell for minute, cell in series.minutes.items() if minute > oldest}
        if series.blocks and min(series.blocks) < oldest_block:
            series.blocks = {block: cell for block, cell in series.blocks.items() if block >= oldest_block}
        if not series.blocks and scope != "brand":
            del state.series[scope]
    recent = (state.watermark - FINE) // BLOCK
    state.terms = {block: terms for block, terms in state.terms.items() if block >= recent}
    state.stories = {block: stories for block, stories in state.stories.items() if block >= recent}
    state.top = [seen for seen in state.top if seen.minute > oldest]
    state.hot = [(first, last) for first, last in state.hot if last >= state.watermark - keep_minutes]
