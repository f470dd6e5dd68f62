"""`earshot bench core`: the pure core without a broker, part by part, against the bare VADER loop in the same process.

Ratios, not microseconds, are compared with those in `expected.json`: they are nearly the same on every machine. Time is
that of the process, so that other programs do not count, and every part's best of several rounds, each beside a round
of the bare loop, since noise only ever adds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

from pipeline.bench.messages import config, mentions
from pipeline.contract import codec
from pipeline.contract.events import JudgedMention, Mention
from pipeline.core import native
from pipeline.core.dedup import Memory
from pipeline.core.pulse import PulseBatch
from pipeline.core.triage import Triage

BARE: Final = "vaderSentiment"
ALLOWED: Final = 1.25  # times the committed ratio: more is a regression
MOST_ROUNDS: Final = 15  # of a check, which goes on while a ratio is too large: a noisy machine gets more chances


def best_of(rounds: int, work: Callable[[], int]) -> float:
    """Return the least seconds of the process per item over some rounds: noise only ever adds."""
    return min(_seconds(work) for _ in range(rounds))


def _seconds(work: Callable[[], int]) -> float:
    began = time.process_time()
    items = work()
    return (time.process_time() - began) / items


def expected() -> dict[str, float]:
    """Return the committed ratios to the bare loop, by part, with the compiled part of the core or without."""
    found: dict[str, dict[str, float]] = json.loads((files("pipeline") / "bench" / "expected.json").read_text("utf-8"))
    return found[native.used()]


def slower(ratios: Mapping[str, float], committed: Mapping[str, float]) -> dict[str, float]:
    """Return how many times the committed ratio each part takes that is beyond ALLOWED."""
    grown = {name: ratios[name] / ratio for name, ratio in committed.items()}
    return {name: times for name, times in grown.items() if times > ALLOWED}


def measure(
    count: int = 4000, rounds: int = 3, *, brands: int = 10, routes: int = 40, check: bool = False
) -> dict[str, Any]:
    """Return microseconds per mention of the parts, and their ratio to vaderSentiment's own.

    With `check`, `slower` has the parts beyond what is committed, by how many times; empty when all is well. Rounds are
    then added until it is empty, MOST_ROUNDS at most.
    """
    works = _works(count, brands, routes)
    best = dict.fromkeys(works, float("inf"))
    ratios: dict[str, float] = {}
    for number in range(max(rounds, MOST_ROUNDS) if check else rounds):
        for name, work in works.items():
            best[name] = min(best[name], _seconds(work))
        ratios = {name: value / best[BARE] for name, value in best.items()}
        if number + 1 >= rounds and not slower(ratios, expected()):
            break
    result: dict[str, Any] = {
        "mentions": count,
        "microseconds": {name: value * 1e6 for name, value in best.items()},
        "ratio_to_vaderSentiment": ratios,
    }
    if check:
        result["slower"] = slower(ratios, expected())
    return result


def _works(count: int, brands: int, routes: int) -> dict[str, Callable[[], int]]:
    """Return what is measured, each a round over all messages that returns their number."""
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
        memory, pulse = Memory(50_000), PulseBatch()
        for value in raw:
            verdict = triage.judge(codec.decode(Mention, value), memory, now)
            codec.encode(verdict)
            if isinstance(verdict, JudgedMention):
                pulse.add(verdict)
        pulse.records(now)
        return count

    return {BARE: vader, "vader": fast_vader, "decode": decode, "judge": judge, "whole": whole}
