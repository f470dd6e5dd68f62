"""Answers in which values are of any other kind: the examples of all sources, changed here and there."""

from __future__ import annotations

import copy
import json
import random

import httpx
import pytest

from connectors.base import PollingConnector
from pipeline.contract import codec
from pipeline.contract.errors import EarshotError, InvalidMessageError
from pipeline.contract.events import Mention
from tests.connectors import kit

ODD = [None, True, 0, -1, 1e308, 10**30, "", "x", "2026-13-01", "https://a.b/c", "9" * 400, "\ud800"]
ODD += [[], {}, [1], [[]], [None], {"id": [1]}, ["a", {}], {"nodes": [1, None, {}]}, {"a": {"b": [{}]}}]
WRITTEN = [kind for kind in kit.all_kinds() if kit.example(kind, "page").suffix in (".json", ".jsonl")]
ASKED = [kind for kind in kit.kinds(PollingConnector, over_http=True) if kind in WRITTEN]


def places(value):
    """Yield every place in a value, as what holds it and its key."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield value, key
        yield from places(part)


def changed(kind, count):
    """Yield the example, changed in one to three places, the same for the same source."""
    chance = random.Random(kind.name)
    lines = [json.loads(line) for line in _documents(kit.example(kind, "page"))]
    for _ in range(count):
        odd = copy.deepcopy(lines)
        known = [found for value in odd for found in places(value)]
        for holder, key in chance.sample(known, chance.randint(1, 3)):
            holder[key] = copy.deepcopy(chance.choice(ODD))
        yield "\n".join(json.dumps(value) for value in odd).encode()


def _documents(file):
    text = file.read_text("utf-8")
    return text.splitlines() if file.suffix == ".jsonl" else [text]


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.name)
def test_whatever_a_value_is_parsing_ends_in_mentions_or_words(kind):
    for body in changed(kind, 50):
        try:
            for mention in kind.parse(body, kit.NOW):
                assert codec.decode(Mention, codec.encode(mention)) == mention
        except InvalidMessageError:
            continue


@pytest.mark.parametrize("kind", ASKED, ids=lambda kind: kind.name)
async def test_whatever_a_value_is_asking_ends_in_a_page_or_words(kind):
    for body in changed(kind, 20):
        made = kit.make(kind, lambda request, body=body: httpx.Response(200, content=body))
        try:
            page = await made.fetch(None)
            await made.fetch(page.cursor)
            made.time_of(page.cursor)
        except EarshotError:
            continue
