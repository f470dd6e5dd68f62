"""Answers with anything in any place: a source that sends such is told of in words, and never ends in an error of ours."""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors import registry
from pipeline.contract import codec
from pipeline.contract.errors import EarshotError
from pipeline.contract.events import Mention
from tests.connectors import kit

SOURCES = (
    ("x", {}),
    ("x", {"reposts": True}),
    ("youtube", {}),
    ("youtube", {"query": "acme"}),
    ("telegram", {}),
    ("tiktok", {"comments": True}),
    ("linkedin", {}),
    ("linkedin", {"hear": "comments"}),
)
ODD = (None, True, 0, -1, 10**30, 1.5, "", "x", "\ud800", [], {}, [1], {"a": 1}, "2026-13-45", "9" * 40, [[]], ["a"])
ROUNDS = 60


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def odd(value: Any, chance: random.Random) -> bytes:
    """The answer with something odd in one to three of its places."""
    changed = copy.deepcopy(value)
    places = list(_places(changed))
    for inside, key in chance.sample(places, min(len(places), chance.randrange(1, 4))):
        with contextlib.suppress(LookupError):
            inside[key] = chance.choice(ODD)
    return json.dumps(changed).encode()


@pytest.mark.parametrize(("name", "changes"), SOURCES, ids=lambda value: value if isinstance(value, str) else "")
async def test_an_answer_with_anything_in_it_never_ends_in_an_error_of_ours(name, changes):
    kind, chance = registry.find(name), random.Random(f"{name}{changes}")
    page = json.loads(kit.example(kind, "page").read_bytes())

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(chance.choice((200, 200, 200, 400, 403)), content=odd(page, chance))

    for _ in range(ROUNDS):
        connector, cursor = kit.make(kind, answer, **changes), None
        for _ in range(3):
            with contextlib.suppress(EarshotError):
                found = await connector.fetch(cursor)
                cursor = found.cursor
                for mention in found.mentions:
                    assert codec.decode(Mention, codec.encode(mention)) == mention
            connector.time_of(cursor)
