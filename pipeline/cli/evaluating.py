"""Labelled CSV files through triage and detection, and the scores as a table or JSON."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.cli.options import fail, second
from pipeline.config.model import Config
from pipeline.contract.codec import mention_from_json
from pipeline.contract.errors import InvalidMessageError
from pipeline.contract.events import JudgedMention
from pipeline.core.dedup import Memory
from pipeline.core.evaluate import Scores, evaluate
from pipeline.core.triage import Triage
from pipeline.core.urgency import QUARANTINE
from pipeline.core.verdicts import Discard

TRUE = ("1", "true", "yes", "spam")
Guess = tuple[str | None, float]


def rows(file: Path, text_column: str, label_column: str) -> list[tuple[str, str]]:
    """Return texts and labels of a CSV; rows without either are left out. Ends the program where a column is absent."""
    csv.field_size_limit(1 << 24)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            for column in (text_column, label_column):
                if column not in (reader.fieldnames or ()):
                    has = ", ".join(reader.fieldnames or ())
                    fail(
                        f"{file} has no column {column!r}, only: {has}; name it with --text-column or --label-column",
                        code=2,
                    )
            found = [((row[text_column] or "").strip(), (row[label_column] or "").strip().lower()) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        fail(f"{file} is no CSV in UTF-8: {error}", code=2)
    return [(text, label) for text, label in found if text and label]


def judge(what: str, pairs: Sequence[tuple[str, str]], config: Config) -> Scores:
    """Return the scores of triage on labelled texts. `what` is sentiment, routing or spam."""
    deep, now = second(config) if what == "sentiment" else None, datetime.now(UTC)
    triage = Triage(config.model_copy(update={"brands": {}}), deep=deep.version if deep else None)
    read: Callable[[JudgedMention], Guess] = {"sentiment": _feeling, "routing": _department, "spam": _spam}[what]
    truth: list[str] = []
    guesses: list[Guess] = []
    for number, (text, label) in enumerate(pairs):
        verdict: Discard | JudgedMention | None = None
        with contextlib.suppress(InvalidMessageError):  # nothing guessed is wrong, and the row counts
            mention, memory = mention_from_json({"id": str(number), "text": text}, now=now), Memory(limit=1)
            if deep is not None:
                deep.ask(triage, [(mention, memory)])
            verdict = triage.judge(mention, memory, now)
        truth.append(("spam" if label in TRUE else "wanted") if what == "spam" else label)
        guesses.append(read(verdict) if isinstance(verdict, JudgedMention) else (None, 0.0))
    if not truth:
        fail("there is no row with a text and a label", code=2)
    return evaluate(truth, [guess for guess, _ in guesses], [sure for _, sure in guesses])


def _feeling(judged: JudgedMention) -> Guess:
    return judged.sentiment.label.value, judged.sentiment.confidence


def _department(judged: JudgedMention) -> Guess:
    shares = judged.department_scores
    best = max(shares, key=shares.__getitem__)
    return best, shares[best]


def _spam(judged: JudgedMention) -> Guess:
    is_spam = judged.spam >= QUARANTINE
    return ("spam" if is_spam else "wanted"), (judged.spam if is_spam else 1 - judged.spam)


def judge_detection(files: Iterable[Path]) -> Scores:
    """Return the scores of `earshot detect` on rows labelled as alerting or not."""
    truth: list[str] = []
    guess: list[str | None] = []
    for file in files:
        labelled = rows(file, "timestamp", "label")
        found = list(csv.DictReader(io.StringIO(_detected(file))))
        if len(found) != len(labelled):
            fail(f"{file}: {len(labelled)} labelled rows, but detection answered {len(found)}", code=1)
        truth += ["alert" if label in TRUE else "calm" for _, label in labelled]
        guess += ["alert" if row["alert"].strip().lower() in TRUE else "calm" for row in found]
    return evaluate(truth, guess)


def _detected(file: Path) -> str:
    """Return what `earshot detect FILE` prints."""
    from pipeline.cli.detect import detect

    into = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(into):
        detect.main(args=[str(file)], standalone_mode=False)
    into.seek(0)
    return into.read()


def report(scores: Scores, what: str, *, as_json: bool) -> None:
    """Print scores: tables for a person, or all of it as JSON."""
    if as_json:
        click.echo(json.dumps(scores.as_json(), indent=2))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, file=sys.stdout)
    console.print(f"{what}: {scores.count} texts, accuracy {scores.accuracy:.3f}, macro-F1 {scores.macro_f1:.3f}")
    names = [one.label for one in scores.classes]
    guessed = [*names, *sorted({name for row in scores.confusion.values() for name in row} - set(names))]
    table = Table("label", "texts", "precision", "recall", "F1", *(f"guessed {escape(name)}" for name in guessed))
    for one in scores.classes:
        counts = (str(scores.confusion[one.label].get(name, 0)) for name in guessed)
        figures = (f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.f1:.3f}")
        table.add_row(escape(one.label), str(one.count), *figures, *counts)
    console.print(table)
    if scores.calibration_error is None:
        return
    console.print(f"calibration error {scores.calibration_error:.3f}: a stated 0.8 should be right 8 times of 10")
    curve = Table("stated", "texts", "mean", "right", "left to a person below", "answered", "right among them")
    by_low = {one.low: one for one in scores.calibration}
    for share in scores.abstention:
        one_bin = by_low.get(share.confidence)
        left = (
            (str(one_bin.count), f"{one_bin.confidence:.2f}", f"{one_bin.accuracy:.2f}") if one_bin else ("0", "", "")
        )
        curve.add_row(
            f"{share.confidence:.1f}",
            *left,
            f"{share.confidence:.1f}",
            f"{share.answered:.2f}",
            f"{share.accuracy:.3f}",
        )
    console.print(curve)
