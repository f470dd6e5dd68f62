"""Walks through sources that give their newest first: long ones, those that break off, those that shift."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from connectors import newest
from connectors.newest import Sheet
from tests.connectors import kit

NOW = kit.NOW.timestamp()


class Shop:
    """A source of numbered things: each part gives them newest first, `size` a page, named by where they begin."""

    def __init__(self, size=10, **parts):
        self.size = size
        self.parts = {part: list(times) for part, times in parts.items()}
        self.asked = []
        self.between = lambda: None
        self.ends = None  # how many it shows before it pretends to end

    async def __call__(self, part, at):
        self.asked.append((part, at))
        start = int(at or 0)
        times = sorted(self.parts[part], reverse=True)
        shown = times[: self.ends] if self.ends is not None else times
        rows = [(float(time), {"id": f"{part}-{time}"}) for time in shown[start : start + self.size]]
        more = start + self.size < len(shown)
        self.between()
        is_cut = not more and len(shown) < len(times)
        return Sheet(rows, str(start + self.size) if more else None, is_cut=is_cut)

    async def walk(self, cursor, *, lookback=1e10, overlap=0.0):
        return await newest.descend(list(self.parts), cursor, self, now=kit.NOW, lookback=lookback, overlap=overlap)


def ids(walked):
    return [row["id"] for row in walked.rows]


async def everything(shop, cursor=None, **more):
    """All that walks give until nothing more waits, and the cursor."""
    found = []
    for _ in range(100):
        walked = await shop.walk(cursor, **more)
        found += ids(walked)
        cursor = walked.cursor
        if not walked.is_full:
            return found, cursor
    raise AssertionError("the walk does not end")


async def test_a_walk_comes_as_one_with_the_oldest_first():
    walked = await Shop(a=range(1, 36)).walk(None)
    assert ids(walked) == [f"a-{time}" for time in range(1, 36)]
    assert not walked.is_full
    assert newest.read(walked.cursor)["a"].known == 35.0


async def test_what_is_known_is_not_walked_through_again():
    shop = Shop(a=range(1, 36))
    cursor = (await shop.walk(None)).cursor
    shop.parts["a"] += [36, 37]
    shop.asked.clear()
    assert ids(await shop.walk(cursor)) == ["a-35", "a-36", "a-37"]  # the newest known may have others of its second
    assert shop.asked == [("a", None)]


async def test_a_walk_longer_than_one_answer_goes_on_from_its_cursor_and_loses_nothing():
    shop = Shop(a=range(1, 351))
    first = await shop.walk(None)
    assert (len(first.rows), first.is_full) == (100, True)
    assert newest.read(first.cursor)["a"].known is None
    found, cursor = await everything(shop)
    assert sorted(found) == sorted(f"a-{time}" for time in range(1, 351))
    assert newest.read(cursor)["a"] == newest.Descent(known=350.0)


async def test_what_arrives_while_pages_are_read_is_heard_and_hides_nothing():
    shop = Shop(a=range(1, 301))
    fresh = iter(range(301, 331))

    def arrive():
        if (time := next(fresh, None)) is not None:
            shop.parts["a"].append(time)

    shop.between = arrive
    found, cursor = await everything(shop)
    later, _ = await everything(shop, cursor)
    assert {f"a-{time}" for time in range(1, 331)} == {*found, *later}


async def test_walks_under_way_are_ended_before_others_begin():
    shop = Shop(a=range(1, 151), b=range(1, 6))
    cursor = (await shop.walk(None)).cursor
    shop.asked.clear()
    walked = await shop.walk(cursor)
    assert {part for part, _ in shop.asked} == {"a"}
    assert not walked.is_full


async def test_a_part_that_is_no_longer_wanted_is_forgotten():
    shop = Shop(a=range(1, 301), b=range(1, 6))
    cursor = (await shop.walk(None)).cursor
    del shop.parts["a"]
    walked = await shop.walk(cursor)
    assert newest.read(walked.cursor).keys() == {"b"}


async def test_the_first_walk_goes_back_as_far_as_it_is_told_and_later_ones_reach_back_a_little():
    times = [NOW - 60 * minute for minute in range(100)]
    shop = Shop(a=times)
    walked = await shop.walk(None, lookback=1800.0)
    assert len(walked.rows) == 31
    assert len((await shop.walk(walked.cursor, overlap=600.0)).rows) == 11


async def test_an_end_before_its_time_is_a_gap():
    shop = Shop(a=range(1, 11))
    cursor = (await shop.walk(None)).cursor
    shop.parts["a"] += range(11, 111)
    shop.ends = 50
    found, gaps = [], []
    for _ in range(3):
        walked = await shop.walk(cursor)
        gaps += [walked.gap] if walked.gap else []
        found += ids(walked)
        cursor = walked.cursor
    assert gaps[0].since.timestamp() == 10.0
    assert gaps[0].until.timestamp() in (61.0, 71.0)
    assert gaps[0].reason == "the source ends although it has more"


async def test_a_time_ahead_of_us_does_not_hide_what_follows():
    shop = Shop(a=[NOW + 1e6, NOW - 5])
    cursor = (await shop.walk(None)).cursor
    assert newest.read(cursor)["a"].known == NOW
    shop.parts["a"].append(NOW)
    assert f"a-{NOW}" in ids(await shop.walk(cursor))


async def test_an_empty_part_knows_nothing_and_keeps_the_cursor():
    shop = Shop(a=[])
    assert await shop.walk(None) == newest.Walked([], None, is_full=False, gap=None)
    cursor = newest.cursor_at(["a"], kit.NOW)
    assert (await shop.walk(cursor)).cursor == cursor


async def test_the_past_is_asked_for_by_time():
    cursor = newest.cursor_at(["a", "b"], kit.NOW - timedelta(days=1))
    assert newest.time_of(cursor) == kit.NOW - timedelta(days=1)
    assert newest.time_of(None) is None


@pytest.mark.parametrize("broken", ["", "{", "[]", "7", '{"a": 1}', '{"a": {"what": 1}}'], ids=repr)
async def test_a_cursor_that_cannot_be_read_begins_anew(broken):
    assert len((await Shop(a=range(1, 6)).walk(broken)).rows) == 5


def test_the_cursor_is_json_without_what_is_not_known():
    assert json.loads(newest.written({"a": newest.Descent(known=1.0)})) == {"a": {"known": 1.0}}
    assert newest.written({}) is None
