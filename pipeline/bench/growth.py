"""`earshot bench growth`: what a mention costs with more brands, more rules, longer and stranger texts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pipeline.bench.core import best_of
from pipeline.bench.messages import config, mentions, texts
from pipeline.bench.plot import Panel
from pipeline.config.model import Brand, Config, Route
from pipeline.contract import codec
from pipeline.contract.events import Mention, Rating
from pipeline.core.dedup import Memory
from pipeline.core.language import Identifier
from pipeline.core.query.parse import QueryError, parse
from pipeline.core.routing.wordings import words
from pipeline.core.sentiment.score import Lexical
from pipeline.core.sentiment.vader import FastVader
from pipeline.core.spam import score as score_spam
from pipeline.core.triage import Triage

BRANDS: Final = (10, 100, 1_000, 10_000)
ROUTES: Final = (40, 200, 1_000, 2_000)
LENGTHS: Final = (50, 500, 5_000, 50_000)

STRANGE: Final[dict[str, str]] = {
    "one token": "a" * 100_000,
    "only punctuation": "?!.,;:-" * 14_000,
    "100,000 emoji": "😡" * 100_000,
    "one word again and again": "crash " * 16_000,
    "but and but": "good but bad " * 8_000,
    "never so": "never so good " * 7_000,
    "capitals": "REFUND NOW " * 9_000,
    "addresses": "https://example.org/a?b=c " * 4_000,
    "handles": "@somebody " * 10_000,
    "brackets": "(" * 50_000 + ")" * 50_000,
    "spaces": " " * 100_000,
    "right to left": "\u202e" * 50_000 + "refund",
    "combining marks": "a" + "\u0301" * 99_000,
    "lines quoted": "> no\n" * 20_000,
}
"""A hundred thousand characters each, of a kind that has brought down text programs."""


def _with_brands(count: int) -> Config:
    extra = {
        f"other{n}": Brand(query=f'Firm{n} OR "company {n} ltd" OR (firm AND product{n}) OR firm{n}help*')
        for n in range(count - 10)
    }
    base = config()
    return base.model_copy(update={"brands": {**base.brands, **extra}})


def _with_routes(count: int) -> Config:
    things = ("refund", "invoice", "router", "speaker", "parcel", "tracking", "battery", "login", "update", "price")
    extra = [
        Route(
            name=f"more-{n}", when=f'("{things[n % 10]} case {n}" OR ({things[n % 10]} AND topic{n}))', to=["support"]
        )
        for n in range(count - 40)
    ]
    base = config()
    return base.model_copy(update={"routes": [*base.routes, *extra]})


def _per_mention(all_settings: Mapping[int, Config], rows: Sequence[Mention], rounds: int) -> dict[int, float]:
    """Return microseconds a mention for each configuration, their rounds in turns: what disturbs one, disturbs all."""
    now = datetime.now(UTC)
    triages = {number: Triage(settings) for number, settings in all_settings.items()}
    best = dict.fromkeys(triages, float("inf"))
    for _ in range(rounds + 1):  # the first fills the tables
        for number, triage in triages.items():

            def work(triage: Triage = triage) -> int:
                memory = Memory(50_000)
                for row in rows:
                    triage.judge(row, memory, now)
                return len(rows)

            best[number] = min(best[number], best_of(1, work) * 1e6)
    return best


def _of_length(length: int, count: int) -> list[str]:
    source = " ".join(texts(max(40, length // 60 * 2)))
    step = max(1, (len(source) - length) // max(1, count))
    return [source[n * step : n * step + length] for n in range(count)]


def _stages(text_count: int, length: int, rounds: int) -> dict[str, float]:
    """Return microseconds for each thousand characters, stage by stage."""
    given = _of_length(length, text_count)
    found = [words(text) for text in given]
    vader, lexical, identifier = FastVader(), Lexical(), Identifier()
    triage, now = Triage(config()), datetime.now(UTC)
    rows = [
        Mention(id=f"b:{n}", source="b", native_id=str(n), text=text, created_at=now, collected_at=now)
        for n, text in enumerate(given)
    ]

    def judged() -> object:
        memory = Memory(1000)
        return [codec.encode(triage.judge(row, memory, now)) for row in rows]

    works: dict[str, Callable[[], object]] = {
        "words": lambda: [words(text) for text in given],
        "language": lambda: [identifier.identify(t, None, w) for t, w in zip(given, found, strict=True)],
        "spam": lambda: [score_spam(t, w) for t, w in zip(given, found, strict=True)],
        "vader": lambda: [vader.compound(text) for text in given],
        "sentiment": lambda: [lexical.judge(t, "en", w, None) for t, w in zip(given, found, strict=True)],
        "story": lambda: [Memory(10).story(w, "x") for w in found],
        "all": judged,
    }
    characters = sum(map(len, given)) / 1000
    out = {}
    for name, work in works.items():

        def once(work: Callable[[], object] = work) -> int:
            work()
            return 1

        out[name] = best_of(rounds, once) * 1e6 / characters
    return out


def _strange(triage: Triage) -> dict[str, float]:
    """Return milliseconds for one text of each strange kind."""
    now = datetime.now(UTC)
    found = {}
    for name, text in STRANGE.items():
        row = Mention(
            id=name, source="b", native_id=name, text=text, created_at=now, collected_at=now, rating=Rating(value=1)
        )
        began = time.perf_counter()
        triage.judge(row, Memory(10), now)
        found[name] = (time.perf_counter() - began) * 1000
    return found


def _deep_query(depth: int) -> float:
    """Return milliseconds for refusing or reading a query with so many brackets in one another."""
    began = time.perf_counter()
    with contextlib.suppress(QueryError):
        parse("(" * depth + "refund" + ")" * depth)
    return (time.perf_counter() - began) * 1000


def measure(count: int, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the curves: microseconds a mention by brands and by routes, and by length for each stage."""
    rows = list(mentions(count))
    out: dict[str, Any] = {"length": {}}
    say(f"{', '.join(map(str, BRANDS))} brands")
    out["brands"] = _per_mention({number: _with_brands(number) for number in BRANDS}, rows, rounds)
    say(f"{', '.join(map(str, ROUTES))} routes")
    out["routes"] = _per_mention({number: _with_routes(number) for number in ROUTES}, rows, rounds)
    for length in LENGTHS:
        say(f"texts of {length} characters")
        out["length"][length] = _stages(max(4, 400_000 // length // 4), length, rounds)
    out["strange_milliseconds"] = _strange(Triage(config()))
    out["deep_query_milliseconds"] = {depth: _deep_query(depth) for depth in (10, 1_000, 9_000)}
    out["ratios"] = {
        "brands": out["brands"][BRANDS[-1]] / out["brands"][BRANDS[0]],
        "routes": out["routes"][ROUTES[-1]] / out["routes"][ROUTES[0]],
        # 1 is linear, more is worse: cost of a character in the longest text against one of 500 characters.
        "length": {name: out["length"][LENGTHS[-1]][name] / out["length"][500][name] for name in out["length"][500]},
    }
    return out


def panels(result: Mapping[str, Any]) -> list[Panel]:
    """Return what `measure` found as curves: cost a mention by brands and by routes, cost of a character by length."""
    by_length = {
        name: {length: stages[name] for length, stages in result["length"].items()} for name in result["length"][500]
    }
    return [
        Panel("µs a mention, by brands", "brands", {"the whole decision": result["brands"]}),
        Panel("µs a mention, by routes", "routes", {"the whole decision": result["routes"]}),
        Panel("µs for 1,000 characters, by length", "characters of a text", by_length),
    ]
