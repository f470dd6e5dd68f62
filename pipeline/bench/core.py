"""`earshot bench core`: the pure core without a broker, part by part, against the bare VADER loop in the same process."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pipeline.bench.messages import config, mentions
from pipeline.contract import codec
from pipeline.contract.events import Mention
from pipeline.core.dedup import Memory
from pipeline.core.triage import Triage


def best_of(rounds: int, work: Callable[[], int]) -> float:
    """Return the least seconds per item over some rounds: noise only ever adds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        items = work()
        best = min(best, (time.perf_counter() - began) / items)
    return best


def measure(count: int = 4000, rounds: int = 3, *, brands: int = 10, routes: int = 40) -> dict[str, Any]:
    """Return microseconds per mention of the parts, and their ratio to vaderSentiment's own."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    from pipeline.core.sentiment.vader import FastVader

    rows = list(mentions(count))
    raw = [codec.encode(row) for row in rows]
    now = datetime.now(UTC)
    original, fast, triage = SentimentIntensityAnalyzer(), FastVader(), Triage(config(brands, routes))

    def vader() -> int:
        for row in rows:
            original.polarity_scores(row.text)
        return count

    def fast_vader() -> int:
        for row in rows:
            fast.compound(row.text)
        return count

    def decode() -> int:
        for value in raw:
            codec.decode(Mention, value)
        return count

    def judge() -> int:
        memory = Memory(50_000)
        for row in rows:
            triage.judge(row, memory, now)
        return count

    def whole() -> int:
        memory = Memory(50_000)
        for value in raw:
            codec.encode(triage.judge(codec.decode(Mention, value), memory, now))
        return count

    seconds = {
        name: best_of(rounds, work)
        for name, work in {
            "vaderSentiment": vader,
            "vader": fast_vader,
            "decode": decode,
            "judge": judge,
            "whole": whole,
        }.items()
    }
    bare = seconds["vaderSentiment"]
    return {
        "mentions": count,
        "microseconds": {name: value * 1e6 for name, value in seconds.items()},
        "ratio_to_vaderSentiment": {name: value / bare for name, value in seconds.items()},
    }
