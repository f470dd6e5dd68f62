"""Texts of customers for whole runs: from the labelled sets beside the project, else put together here."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import SHARED

PRODUCTS = ("app", "site", "scooter", "checkout", "store", "newsletter", "helmet", "battery", "map", "invoice")
THINGS = (
    "keeps crashing since the update",
    "was delivered two weeks late and nobody answers",
    "is the best thing I bought this year",
    "should have a dark mode, please add one",
    "charged me twice and I want a refund",
    "does not let me log in any more",
    "was handed over by a very rude driver",
    "looks great in the new advert",
)


def real() -> Iterator[str]:
    """Yield texts of the labelled sets, none where they are absent."""
    for file in sorted(SHARED.glob("data/*/*.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                text = row.get("text") or ""
                if text.strip():
                    yield text


def made() -> Iterator[str]:
    """Yield texts of our own without end, seeded."""
    chance = random.Random(7)
    for number in itertools.count():
        yield f"The {chance.choice(PRODUCTS)} {chance.choice(THINGS)}, order {number}"


def write(file: Path, count: int) -> None:
    """Write `count` mentions as JSON Lines, every id once."""
    texts = itertools.chain(real(), made())
    with file.open("w", encoding="utf-8") as lines:
        for number, text in enumerate(itertools.islice(texts, count)):
            lines.write(json.dumps({"id": str(number), "text": text[:5000]}) + "\n")
