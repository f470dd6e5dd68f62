"""Sources that show only their newest few: what is told as missed, and what is not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.showing import Showing, Shown, missed
from tests.connectors import kit


@pytest.mark.parametrize(
    ("before", "times", "total", "gap"),
    [
        (None, [5, 6, 7], 50, None),  # the first look: what was before is not ours to have heard
        (Shown(7, 50), [5, 6, 7], 50, None),
        (Shown(7, 50), [6, 7, 8], 51, None),
        (Shown(7, 50), [7, 8, 9], 52, None),
        (Shown(7, 50), [8, 9, 10], 53, None),  # three new ones, all shown
        (Shown(7, 50), [8, 9, 10], 54, (7, 8, "4 new ones, of which the source shows 3")),
        (Shown(7, None), [8, 9, 10], 54, (7, 8, "an unknown number of new ones, of which the source shows 3")),
        (Shown(7, 50), [8, 9, 10], None, (7, 8, "an unknown number of new ones, of which the source shows 3")),
        (Shown(7, 50), [], 60, None),
        (Shown(7, 50), [8, 9, 10], 48, None),  # fewer than before: some were taken down
    ],
    ids=str,
)
def test_a_gap_is_told_where_nothing_known_is_shown_and_the_count_does_not_settle_it(before, times, total, gap):
    found = missed(before, times, total)
    told = None if found is None else (found.since.timestamp(), found.until.timestamp(), found.reason)
    assert told == gap


def look(cursor, **places):
    showing = Showing(cursor)
    for place, (times, total) in places.items():
        showing.take(place, times, total, kit.NOW)
    return showing


def test_places_are_known_apart_and_their_gaps_are_told_as_one():
    first = look(None, a=([1, 2], 2), b=([5], None))
    assert (first.gap, first.expected) == (None, None)
    later = look(first.written(), a=([8, 9], 10), b=([7, 8], None))
    assert later.gap.since == datetime.fromtimestamp(2, UTC)
    assert later.gap.until == datetime.fromtimestamp(8, UTC)
    assert "8 new ones" in later.gap.reason
    assert "an unknown number" in later.gap.reason


def test_what_is_new_by_the_places_own_count_is_expected():
    cursor = look(None, a=([1], 10), b=([1], 20)).written()
    assert look(cursor, a=([2], 11), b=([1, 3], 22)).expected == 3
    assert look(cursor, a=([2], 11), b=([1, 3], None)).expected is None


def test_a_place_without_any_is_known_from_now_on():
    cursor = look(None, a=([], 0)).written()
    after = kit.NOW.timestamp() + 60
    assert missed(Showing(cursor).places["a"], [after, after + 1], 3) is not None


def test_all_that_a_place_has_is_no_gap():
    showing = Showing(look(None, a=([1], None)).written())
    showing.take("a", [5, 6], None, kit.NOW, is_all=True)
    assert showing.gap is None


def test_a_time_ahead_of_us_hides_nothing():
    cursor = look(None, a=([kit.NOW.timestamp() + 1e6], 1)).written()
    assert Showing(cursor).places["a"].newest == kit.NOW.timestamp()


@pytest.mark.parametrize("broken", ["", "{", "[]", "7", '{"a": 1}', '{"a": ["x", 1]}'], ids=repr)
def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    assert Showing(broken).places == {}
