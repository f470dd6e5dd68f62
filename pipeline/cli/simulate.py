"""`earshot simulate`: mentions of a made-up company as files, the truth about them, and scores against it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from pipeline.cli.options import config_option, fail, load

if TYPE_CHECKING:
    from connectors.simulator.settings import SimulatorSettings

DEFAULT_START = "2026-11-23T06:00:00Z"
EXAMPLE = """\b
earshot simulate --hours 6 --out mentions.jsonl --truth truth.jsonl
earshot triage mentions.jsonl > decisions.jsonl
earshot simulate --score decisions.jsonl --truth truth.jsonl"""
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog=EXAMPLE)
@click.option("--seed", type=int, help="The same seed and start give the same mentions [default: 1].")
@click.option("--hours", type=float, default=2.0, show_default=True, help="How much simulated time to write.")
@click.option("--rate", type=float, help="Mentions an hour at the mean of a week [default: 1200].")
@click.option("--start", metavar="INSTANT", help=f"Where simulated time begins [default: {DEFAULT_START}].")
@click.option(
    "--incident",
    "incidents",
    multiple=True,
    metavar="KIND,AT,FOR[,STRENGTH]",
    help="Script an incident, for example outage,40m,20m,4; may be given several times.",
)
@click.option("--source", "source_name", help="Take the settings from this source of the configuration file.")
@config_option
@click.option("--out", type=_FILE, help="Write the mentions here [default: standard output].")
@click.option("--truth", type=_FILE, help="Write the truth about each mention here; with --score, read it from here.")
@click.option("--score", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Decisions to score.")
@click.option("--json", "as_json", is_flag=True, help="Scores as JSON.")
def simulate(
    seed: int | None,
    hours: float,
    rate: float | None,
    start: str | None,
    incidents: tuple[str, ...],
    source_name: str | None,
    config_path: Path | None,
    out: Path | None,
    truth: Path | None,
    score: Path | None,
    as_json: bool,
) -> None:
    """Write mentions of a made-up company as JSON Lines, and apart from them the truth about each."""
    if score is not None:
        if truth is None or not truth.exists():
            fail("--score needs the truth that was written with the mentions: add --truth FILE", code=2)
        from pipeline.cli.scoring import report

        report(truth, score, as_json=as_json)
        return
    if hours <= 0:
        fail("--hours must be above 0", code=2)
    given = {"seed": seed, "rate": rate, "start": start, "incidents": [_incident(text) for text in incidents] or None}
    settings = _settings(source_name, config_path, given)
    count = _write(settings, hours, out, truth)
    click.echo(f"{count} mentions, edits and deletions written", err=True)


def _incident(text: str) -> dict[str, Any]:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (3, 4):
        fail(f"--incident {text}: write KIND,AT,FOR[,STRENGTH], for example outage,40m,20m,4", code=2)
    return dict(zip(("kind", "at", "for", "strength"), parts, strict=False))


def _settings(source_name: str | None, config_path: Path | None, given: dict[str, Any]) -> SimulatorSettings:
    from datetime import datetime

    from connectors.base import read_settings
    from connectors.simulator.settings import SimulatorSettings
    from pipeline.contract.errors import ConfigError

    found: dict[str, Any] = {}
    if source_name is not None:
        source = load(config_path).sources.get(source_name)
        if source is None or source.type != "simulator":
            fail(f"the configuration has no source {source_name!r} of type simulator", code=2)
        found = source.settings()
    found.update({key: value for key, value in given.items() if value is not None})
    found.setdefault("start", DEFAULT_START)
    try:
        settings = read_settings(SimulatorSettings, source_name or "simulator", found)
    except ConfigError as error:
        fail(str(error), code=2)
    if not isinstance(settings.start, datetime):
        fail("this source begins at an offset from its first start: name the instant with --start", code=2)
    return settings


def _write(settings: SimulatorSettings, hours: float, out: Path | None, truth: Path | None) -> int:
    """Write mentions, and the truth where it is wanted; return how many lines of mentions."""
    import sys
    from datetime import UTC, datetime

    from connectors.simulator.script import Script
    from pipeline.cli.lines import Output
    from pipeline.contract import codec

    first = settings.first_minute(datetime.now(UTC))
    script = Script(settings.scenario(first))
    count, known = 0, set()
    with contextlib.ExitStack() as stack:
        labels: IO[bytes] | None = None
        try:
            written: Any = stack.enter_context(out.open("wb") if out else Output())
            labels = stack.enter_context(truth.open("wb")) if truth else None
        except OSError as error:
            fail(f"{error.filename} cannot be written: {error.strerror}", code=2)
        for scripted in script.range(first, first + max(1, round(hours * 60))):
            written.write(codec.encode(scripted.mention) + b"\n")
            count += 1
            if labels is not None and scripted.labels.id not in known:
                known.add(scripted.labels.id)
                labels.write(codec.encode(scripted.labels) + b"\n")
        sys.stdout.flush()
    return count
