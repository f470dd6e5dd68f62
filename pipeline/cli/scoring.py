"""Decisions of triage against the truth of the simulator. The arithmetic is pure; `report` reads files and prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from connectors.simulator.truth import Labels
from pipeline.cli.options import fail
from pipeline.core.evaluate import Scores, evaluate
from pipeline.core.urgency import QUARANTINE

_NO_JUDGEMENT = ("withdrawn", "duplicate", "empty")  # lines that say nothing about a text: deletions and repeats


@dataclass(frozen=True, slots=True)
class Ratio:
    """A share, with what it is a share of."""

    right: int
    of: int

    @property
    def share(self) -> float:
        """The share, 0 where there is nothing."""
        return self.right / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """What `earshot simulate --score` shows.

    `departments` and `sentiment` are of what customers say about the brand; a department is right where the first one
    the mention went to is one that can act on it, and `review` counts as wrong; what asks for nobody is left out. `unjudged` are mentions without a
    decision. `spam_precision` and `spam_recall` are of quarantine; `found` are copies put into the story of what they
    repeat, `joined` are other mentions, without spam, that were put into a story of somebody else's.
    """

    departments: Scores
    sentiment: Scores
    irony: Ratio
    reviewed: Ratio
    spam_precision: Ratio
    spam_recall: Ratio
    found: Ratio
    joined: Ratio
    unrelated: Ratio
    own: Ratio
    language: Ratio
    by_language: Mapping[str, tuple[Ratio, Ratio]]
    by_topic: Mapping[str, tuple[Ratio, Ratio]]
    unjudged: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def score(truth: Iterable[Labels], decisions: Iterable[Mapping[str, Any]]) -> Scored:
    """Return how decisions (lines of `earshot triage`, in order) do against the truth.

    The first decision about a mention counts. Raises ValueError where no decision is about a mention of the truth.
    """
    known = {labels.id: labels for labels in truth}
    judged: dict[str, Mapping[str, Any]] = {}
    for decision in decisions:
        if decision.get("reason") not in _NO_JUDGEMENT:
            judged.setdefault(_full(decision.get("id")), decision)
    both = [(known[name], decision) for name, decision in judged.items() if name in known]
    voices = [(a, b) for a, b in both if a.is_relevant and not a.is_spam and not a.is_own]
    if not voices:
        raise ValueError("none of the decisions is about a mention of this truth")
    asks = [(a, b) for a, b in voices if a.departments]
    is_right = [_department(a, b) == a.departments[0] for a, b in asks]
    feels_right = [_feeling(b) == a.sentiment.value for a, b in voices]
    found, joined = _stories(both)
    return Scored(
        departments=evaluate([a.departments[0] for a, _ in asks], [_department(a, b) for a, b in asks]),
        sentiment=evaluate([a.sentiment.value for a, _ in voices], [_feeling(b) for _, b in voices]),
        irony=_ratio(feels for (a, _), feels in zip(voices, feels_right, strict=True) if a.is_irony),
        reviewed=_ratio("review" in b["departments"] for _, b in asks),
        spam_precision=_ratio(a.is_spam for a, b in both if b["spam"] >= QUARANTINE),
        spam_recall=_ratio(b["spam"] >= QUARANTINE for a, b in both if a.is_spam),
        found=found,
        joined=joined,
        unrelated=_ratio(b.get("reason") == "not_relevant" for a, b in both if not a.is_relevant),
        own=_ratio(b["outcome"] == "discarded" for a, b in both if a.is_own),
        language=_ratio(b.get("language") == a.language for a, b in voices),
        by_language=_grouped(_by(asks, is_right, "language"), _by(voices, feels_right, "language")),
        by_topic=_grouped(_by(asks, is_right, "topic"), _by(voices, feels_right, "topic")),
        unjudged=len(known) - len(both),
    )


def _full(given: object) -> str:
    text = str(given)
    return text if ":" in text else f"simulator:{text}"


def _department(labels: Labels, decision: Mapping[str, Any]) -> str | None:
    """Return the first department a mention went to; the truth's first where it is another of the truth's."""
    first = next(iter(decision["departments"]), None)
    return labels.departments[0] if first in labels.departments else first


def _feeling(decision: Mapping[str, Any]) -> str:
    return str(decision["sentiment"]["label"])


def _ratio(found: Iterable[bool]) -> Ratio:
    values = list(found)
    return Ratio(sum(values), len(values))


def _stories(both: Iterable[tuple[Labels, Mapping[str, Any]]]) -> tuple[Ratio, Ratio]:
    """Return copies in the story of their original, and others in a story that was there before them."""
    of: dict[str, str | None] = {}
    seen: set[str] = set()
    found: list[bool] = []
    joined: list[bool] = []
    for labels, decision in both:
        story = decision.get("story")
        if labels.duplicate_of is not None:
            if of.get(labels.duplicate_of) is not None and story is not None:
                found.append(of[labels.duplicate_of] == story)
        elif story is not None and not labels.is_spam:  # bots do say nearly the same again and again
            joined.append(story in seen)
        of[labels.id] = story
        if story is not None:
            seen.add(story)
    return _ratio(found), _ratio(joined)


Pairs = list[tuple[Labels, Mapping[str, Any]]]


def _by(pairs: Pairs, right: list[bool], what: str) -> dict[str, list[bool]]:
    groups: dict[str, list[bool]] = {}
    for (labels, _), is_right in zip(pairs, right, strict=True):
        groups.setdefault(getattr(labels, what), []).append(is_right)
    return groups


def _grouped(
    departments: Mapping[str, list[bool]], feelings: Mapping[str, list[bool]]
) -> dict[str, tuple[Ratio, Ratio]]:
    return {name: (_ratio(departments.get(name, ())), _ratio(feelings[name])) for name in sorted(feelings)}


def report(truth: Path, decisions: Path, *, as_json: bool) -> None:
    """Print the scores of a file of decisions against a file of truth. Ends the program where a file is unreadable."""
    try:
        scored = score(_lines(truth, Labels), _lines(decisions, dict[str, Any]))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        fail(f"cannot score: {error}", code=2)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(scored.as_json()), indent=2).decode())
        return
    _print(scored)


def _lines(file: Path, kind: Any) -> Iterator[Any]:
    decoder = msgspec.json.Decoder(kind)
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as error:
                    raise ValueError(f"{file}, line {number}: {error}") from None


def _print(scored: Scored) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    departments, feeling = scored.departments, scored.sentiment
    console.print(f"departments: accuracy {departments.accuracy:.3f}, macro-F1 {departments.macro_f1:.3f}")
    console.print(f"sentiment: accuracy {feeling.accuracy:.3f}, macro-F1 {feeling.macro_f1:.3f}")
    for words, ratio in (
        ("irony felt rightly", scored.irony),
        ("left to a person (review)", scored.reviewed),
        ("spam precision", scored.spam_precision),
        ("spam recall", scored.spam_recall),
        ("copies found", scored.found),
        ("others taken for copies", scored.joined),
        ("unrelated left out", scored.unrelated),
        ("own accounts left out", scored.own),
        ("language found", scored.language),
    ):
        console.print(f"{words}: {ratio.share:.3f} ({ratio.right} of {ratio.of})")
    for title, groups in (("language", scored.by_language), ("topic", scored.by_topic)):
        table = Table(title, "mentions", "department right", "sentiment right")
        for name, (right, feels) in groups.items():
            table.add_row(name, str(feels.of), f"{right.share:.3f}" if right.of else "", f"{feels.share:.3f}")
        console.print(table)
    if scored.unjudged:
        console.print(f"{scored.unjudged} mentions of the truth have no decision")
