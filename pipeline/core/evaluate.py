"""Scores of guesses against labels: accuracy, macro-F1, per class, confusion, calibration, abstention. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

BINS = 10


@dataclass(frozen=True, slots=True)
class OfClass:
    """How one class did. `precision` and `recall` are 0 where nothing was guessed or nothing was there."""

    label: str
    count: int
    guessed: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Guesses of about the same confidence: what they claimed on average, and how many were right."""

    low: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Share:
    """When guesses below `confidence` are left to a person: the share that is answered, and how right that is."""

    confidence: float
    answered: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything `earshot evaluate` shows. `confusion[truth][guess]` counts; a missing guess counts as wrong."""

    count: int
    accuracy: float
    macro_f1: float
    classes: tuple[OfClass, ...]
    confusion: dict[str, dict[str, int]]
    calibration_error: float | None
    calibration: tuple[Bin, ...]
    abstention: tuple[Share, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def evaluate(truth: Sequence[str], guess: Sequence[str | None], confidence: Sequence[float] | None = None) -> Scores:
    """Return the scores of guesses, over the classes that occur in the truth.

    Macro-F1 is the plain mean of F1 over classes. The calibration error is the expected one (Naeini et al., AAAI 2015):
    the mean distance of claimed confidence and accuracy over ten equal bins, weighted by size. Raises ValueError where
    the lengths differ or there is nothing to score.
    """
    if not truth:
        raise ValueError("there are no labelled rows to score")
    if len(truth) != len(guess) or (confidence is not None and len(confidence) != len(truth)):
        raise ValueError(f"{len(truth)} labels, {len(guess)} guesses: they must be as many")
    classes = tuple(_of_class(label, truth, guess) for label in sorted(set(truth)))
    confusion: dict[str, dict[str, int]] = {}
    for right, said in zip(truth, guess, strict=True):
        row = confusion.setdefault(right, {})
        row[said or "none"] = row.get(said or "none", 0) + 1
    hits = [right == said for right, said in zip(truth, guess, strict=True)]
    bins = _bins(hits, confidence) if confidence is not None else ()
    return Scores(
        count=len(truth),
        accuracy=sum(hits) / len(hits),
        macro_f1=sum(one.f1 for one in classes) / len(classes),
        classes=classes,
        confusion=dict(sorted(confusion.items())),
        calibration_error=sum(one.count * abs(one.confidence - one.accuracy) for one in bins) / len(hits)
        if bins
        else None,
        calibration=bins,
        abstention=_abstention(hits, confidence) if confidence is not None else (),
    )


def _of_class(label: str, truth: Sequence[str], guess: Sequence[str | None]) -> OfClass:
    count, guessed = sum(one == label for one in truth), sum(one == label for one in guess)
    both = sum(right == said == label for right, said in zip(truth, guess, strict=True))
    return OfClass(
        label=label,
        count=count,
        guessed=guessed,
        precision=both / guessed if guessed else 0.0,
        recall=both / count if count else 0.0,
        f1=2 * both / (count + guessed) if count + guessed else 0.0,
    )


def _bins(hits: Sequence[bool], confidence: Sequence[float]) -> tuple[Bin, ...]:
    groups: dict[int, list[int]] = {}
    for index, claimed in enumerate(confidence):
        groups.setdefault(min(BINS - 1, max(0, int(claimed * BINS))), []).append(index)
    return tuple(
        Bin(
            low=number / BINS,
            count=len(members),
            confidence=sum(confidence[index] for index in members) / len(members),
            accuracy=sum(hits[index] for index in members) / len(members),
        )
        for number, members in sorted(groups.items())
    )


def _abstention(hits: Sequence[bool], confidence: Sequence[float]) -> tuple[Share, ...]:
    found = []
    for tenth in range(BINS):
        answered = [hit for hit, claimed in zip(hits, confidence, strict=True) if claimed >= tenth / BINS]
        if answered:
            found.append(Share(tenth / BINS, len(answered) / len(hits), sum(answered) / len(answered)))
    return tuple(found)
