"""Going forwards through a source that gives the oldest change since a time first. Pure.

A place holds `at`, up to where everything was given, in epoch seconds, and while more is waiting `more`, `floor`, where
this walk began, and `page`, when a page was full of one second. A change moves a text to the end of what is asked for:
to go on from a time passes over nothing, to go on by the number of a page would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from connectors import reading
from connectors.base import Gap
from connectors.places import Row, gap, number

TRIES: Final = 3  # of an answer that the source did not finish in time


@dataclass(frozen=True, slots=True)
class Asked:
    """What one request asks for: what has changed from `since` on, `page` of it; `floor` is where the walk began."""

    since: float
    page: int
    floor: float
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What it was answered. `clock` names the time in a row that is gone by, `depth` how many rows there can be."""

    rows: Sequence[Row] = ()
    clock: str = "updated_at"
    is_full: bool = False
    is_partial: bool = False
    is_unchanged: bool = False
    etag: str | None = None
    depth: int | None = None

    @property
    def newest(self) -> float | None:
        """The time of the newest change, in epoch seconds."""
        return max((at for row in self.rows if (at := time_of(row, self.clock)) is not None), default=None)


def time_of(row: Row, clock: str) -> float | None:
    """Return a time in a row, in epoch seconds; None where there is none."""
    at = reading.timestamp(row.get(clock))
    return None if at is None else at.timestamp()


def asked(place: Row, first: float, overlap: float) -> Asked:
    """Return what to ask for at a place; from `first` on where nothing is known yet."""
    at = number(place, "at")
    if at is None:
        return Asked(first, 1, first)
    if place.get("more"):
        return Asked(at, int(number(place, "page") or 1), number(place, "floor") or at)
    etag = place.get("etag")
    return Asked(at - overlap, 1, at - overlap, etag if isinstance(etag, str) else None)


def after(place: Row, request: Asked, found: Found) -> tuple[Row, Gap | None]:
    """Return the place to go on from, and what is known to be missed."""
    known = number(place, "at")
    at = max(found.newest or request.since, known if known is not None else request.since)
    if found.is_unchanged:
        return {**place, "at": at}, None
    tries = int(number(place, "tries") or 0) + 1
    if found.is_partial and tries < TRIES:  # the same is asked again: what came is known by then
        return {"at": request.since, "more": True, "floor": request.floor, "page": request.page, "tries": tries}, None
    missed = gap(request.since, at, "the source did not finish its answer in time") if found.is_partial else None
    if not found.is_full:
        return {"at": at, **({"etag": found.etag} if found.etag and at == known else {})}, missed
    on = {"more": True, "floor": request.floor}
    if (found.newest or request.since) > request.since:
        return {"at": found.newest, **on}, missed
    if found.depth is None or request.page * len(found.rows) < found.depth:
        return {"at": request.since, "page": request.page + 1, **on}, missed
    full = gap(request.since, request.since + 1, f"more than {found.depth} texts in one second, which the source hides")
    return {"at": request.since + 1, **on}, missed or full
