"""`earshot triage`, `explain`, `evaluate`: judging on files and single texts, without a broker where none is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.lines import Lines, Output
from pipeline.cli.options import broker_option, config_option, fail, load, second

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.config.model import Config
    from pipeline.contract.events import JudgedMention, Mention, Reason
    from pipeline.core.learning.gate import Gate
    from pipeline.core.triage import Triage
    from pipeline.runtime.deep.asking import Second


@click.command()
@config_option
@click.option(
    "--feedback",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='JSON Lines {"mention": {…}, "department": "support"} (or "sentiment", "spam"), learned first.',
)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
def triage(config_path: Path | None, feedback: Path | None, files: tuple[Path, ...]) -> None:
    """Mentions as JSON Lines to decisions as JSON Lines: same order, one line each, no broker.

    Reads standard input where no FILE is given. A line that is no mention becomes one with the outcome dead-lettered
    and the reason, and is reported on standard error with its number; the others go on, and the exit code is 1.
    """
    from datetime import UTC, datetime
    from functools import partial

    from pipeline.core.dedup import Memory
    from pipeline.core.learning.gate import Gate
    from pipeline.core.triage import Triage

    config = load(config_path)
    deep = second(config)
    judge = Triage(config, deep=deep.version if deep else None)
    now = datetime.now(UTC)
    taught = Lines()
    if feedback is not None:
        gate = Gate(config.learning)
        for number, row in taught.of([feedback]):
            taught.attempt(number, row, partial(_learn, judge, gate, config, row, number, now))
    memory = Memory(limit=_NO_LIMIT)
    with Output() as output:
        lines = Lines(lambda row, reason: output.write(_bad_line(row, reason)))
        for number, row in lines.of(files or (Path("-"),)):
            written = lines.attempt(number, row, partial(_judged_line, judge, memory, row, now, deep))
            if written is not None:
                output.write(written)
    if lines.bad or taught.bad:
        sys.exit(1)


_NO_LIMIT = 1 << 60  # a repeated id is a repeat however far apart: the whole input is remembered


def _learn(judge: Triage, gate: Gate, config: Config, row: Any, number: int, now: datetime) -> None:
    """Learn a line of a file as the running system learns feedback; what it would pass over is a wrong line."""
    from pipeline.contract.errors import InvalidMessageError
    from pipeline.contract.feedback import EXAMPLE, feedback_from_json
    from pipeline.core.learning.gate import Refused
    from pipeline.core.learning.taking import take

    if not isinstance(row, dict) or not isinstance(row.get("mention"), dict):
        raise InvalidMessageError(EXAMPLE)
    given = {**row, "mention": {"id": f"line {number}", **row["mention"]}}
    said = feedback_from_json(given, now=now, by="somebody")
    if said.mention is None:
        raise InvalidMessageError(EXAMPLE)
    if said.department is not None and said.department not in judge.learnable:
        known = ", ".join(sorted(judge.learnable))
        raise InvalidMessageError(f"nothing is learned for department {said.department!r}; write one of {known}")
    learned = list(take(judge, gate, config.learning, said, said.mention, now))
    refused = [one for one in learned if isinstance(one, Refused)]
    if refused or not learned:
        raise InvalidMessageError(f"not learned: {(refused or [Refused.NOTHING])[0].value}")


def _id_in(row: Any) -> object:
    return row.get("id", row.get("native_id")) if isinstance(row, dict) else None


def _bad_line(row: Any, reason: Reason) -> bytes:
    import msgspec

    given = _id_in(row)
    is_readable = isinstance(given, str) or (isinstance(given, int) and abs(given) < 1 << 63)
    told = _set_aside(given if is_readable else None, None, reason)
    return msgspec.json.encode({**told, "outcome": "dead-lettered", "decision": {"by": "dead_letter"}}) + b"\n"


def _judged_line(judge: Triage, memory: Any, row: Any, now: datetime, deep: Second | None) -> bytes:
    import msgspec

    from pipeline.contract.codec import mention_from_json
    from pipeline.contract.errors import InvalidMessageError
    from pipeline.contract.events import Reason
    from pipeline.core.verdicts import Discard

    given = _id_in(row)
    try:
        mention = mention_from_json(row, now=now)
    except InvalidMessageError as error:
        if error.reason is not Reason.EMPTY:
            raise
        return msgspec.json.encode(_set_aside(given, None, Reason.EMPTY)) + b"\n"
    if deep is not None:
        deep.ask(judge, [(mention, memory)])
    verdict = judge.judge(mention, memory, now)
    if isinstance(verdict, Discard):
        return msgspec.json.encode(_set_aside(given, mention, verdict.reason)) + b"\n"
    return msgspec.json.encode(decision(verdict, given)) + b"\n"


def decision(judged: JudgedMention, given: object) -> dict[str, Any]:
    """Return the line of design section 13 for a judged mention; `given` is its id as the input had it."""
    feeling = judged.sentiment
    return {
        "id": given,
        "outcome": judged.outcome.value,
        "reason": judged.reason.value if judged.reason else None,
        "brands": judged.brands,
        "language": judged.language,
        "sentiment": {
            "label": feeling.label.value,
            "score": feeling.score,
            "vader": feeling.vader,
            "confidence": feeling.confidence,
        },
        "towards": {brand: {"label": one.label.value, "score": one.score} for brand, one in judged.towards.items()},
        "spam": judged.spam,
        "intents": judged.intents,
        "departments": judged.departments,
        "department_scores": judged.department_scores,
        "priority": judged.priority.value,
        "story": judged.story,
        "campaigns": judged.campaigns,
        "decision": judged.decision,
    }


def _set_aside(given: object, mention: Mention | None, reason: Reason) -> dict[str, Any]:
    return {
        "id": given,
        "outcome": "discarded",
        "reason": reason.value,
        "brands": [],
        "language": mention.language if mention else None,
        "sentiment": {"label": "neutral", "score": 0.0, "vader": None, "confidence": 0.0},
        "towards": {},
        "spam": 0.0,
        "intents": [],
        "departments": [],
        "department_scores": dict.fromkeys(("service", "support", "design", "marketing"), 0.0),
        "priority": "low",
        "story": None,
        "campaigns": [],
        "decision": {"by": "discard"},
    }


@click.command()
@click.argument("mention_id", metavar="[ID]", required=False)
@click.option("--text", help="A text to judge now, with today's rules; no broker is needed.")
@config_option
@broker_option
@click.option("--again", is_flag=True, help="With an ID: judge it again with what had been learned then, and compare.")
@click.option("--json", "as_json", is_flag=True, help="The decision as JSON.")
def explain(
    mention_id: str | None, text: str | None, config_path: Path | None, broker: str | None, again: bool, as_json: bool
) -> None:
    """Why a mention went where it went: a TEXT now, or the mention with this ID as it was decided then.

    ID is `source:native_id`, as on the topics; the newest decision is shown.
    """
    if again and mention_id is None:
        fail("--again needs the ID of a mention: a text has no decision yet", code=2)
    if (mention_id is None) == (text is None):
        fail(
            "give either --text T or the ID of a mention, for example: earshot explain --text 'It keeps crashing'",
            code=2,
        )
    compared = ""
    if text is not None:
        judged = _now(text, config_path)
    else:
        judged, compared = _then(str(mention_id), config_path, broker, again=again)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(decision(judged, judged.native_id)), indent=2).decode())
        return
    from rich.console import Console

    from pipeline.cli.explaining import explanation

    Console(highlight=False).print(explanation(judged))
    if compared:
        click.echo(compared)


def _now(text: str, config_path: Path | None) -> JudgedMention:
    """Return the decision about a text; what is about no brand is judged as if it were, and still discarded."""
    from datetime import UTC, datetime

    from msgspec.structs import replace

    from pipeline.contract.codec import mention_from_json
    from pipeline.contract.errors import InvalidMessageError
    from pipeline.contract.events import Outcome
    from pipeline.core.dedup import Memory
    from pipeline.core.triage import Triage
    from pipeline.core.verdicts import Discard, Verdict

    now = datetime.now(UTC)
    try:
        mention = mention_from_json({"id": "1", "text": text}, now=now)
    except InvalidMessageError as error:
        fail(str(error), code=2)
    config = load(config_path)
    deep = second(config)

    def judged_by(one: Config) -> Verdict:
        judge, memory = Triage(one, deep=deep.version if deep else None), Memory(limit=1)
        if deep is not None:
            deep.ask(judge, [(mention, memory)])
        return judge.judge(mention, memory, now)

    verdict = judged_by(config)
    if not isinstance(verdict, Discard):
        return verdict
    anyway = judged_by(config.model_copy(update={"brands": {}}))
    if isinstance(anyway, Discard):
        fail(f"discarded as {anyway.reason.value}")
    return replace(anyway, outcome=Outcome.DISCARDED, reason=verdict.reason, brands=(), departments=())


def _then(mention_id: str, config_path: Path | None, broker: str | None, *, again: bool) -> tuple[JudgedMention, str]:
    """Return the newest decision about a mention; with `again` the one made anew, and how the two compare."""
    from pipeline.cli.again import again as made_again
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import BrokerUnavailableError
    from pipeline.runtime.finding import newest

    config = load(config_path)
    try:
        with attach(broker, config) as client:
            found = newest(client, [mention_id]).get(mention_id)
            if found is not None and again:
                return made_again(client, config, found)
    except BrokerUnavailableError as error:
        fail(str(error))
    if found is None:
        fail(
            f"no decision about {mention_id} is kept: it was about no brand, is older than the retention, or the id is wrong"
        )
    return found, ""


@click.group()
def evaluate() -> None:
    """Scores against labels: macro-F1, per class, confusion, calibration."""


def _labels_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="All figures as JSON."),
        click.option("--text-column", default="text", show_default=True, help="Column with the texts."),
        click.option("--label-column", default="label", show_default=True, help="Column with the labels."),
        click.option(
            "--labels",
            "files",
            multiple=True,
            required=True,
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="CSV with a header; may be given several times.",
        ),
        config_option,
    ):
        command = option(command)
    return command


def _evaluation(name: str, summary: str) -> None:
    def run(
        config_path: Path | None, files: tuple[Path, ...], label_column: str, text_column: str, as_json: bool
    ) -> None:
        from pipeline.cli import evaluating

        rows = [row for file in files for row in evaluating.rows(file, text_column, label_column)]
        evaluating.report(evaluating.judge(name, rows, load(config_path)), name, as_json=as_json)

    run.__doc__ = summary
    evaluate.command(name)(_labels_options(run))


_evaluation("sentiment", "Labels negative, neutral, positive against the label triage gives.")
_evaluation("routing", "Labels are departments; the one with the largest share is the guess.")
_evaluation("spam", "Labels spam (1, true, yes) and anything else against quarantine.")


@evaluate.command("detect")
@config_option
@click.option(
    "--labels",
    "files",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV timestamp,value,label; label is 1 (true, yes) in a row that should alert.",
)
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
def evaluate_detect(config_path: Path | None, files: tuple[Path, ...], as_json: bool) -> None:
    """Rows that should alert against those where `earshot detect` does."""
    from pipeline.cli import evaluating

    load(config_path)
    evaluating.report(evaluating.judge_detection(files), "detect", as_json=as_json)
