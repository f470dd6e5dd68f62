"""`earshot bench`: figures as JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import broker_option, fail


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(result: dict[str, Any]) -> None:
    import os

    from pipeline.core import native

    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "core": native.used(),
    }
    click.echo(json.dumps({"machine": machine, **result}, indent=2))


@click.group()
def bench() -> None:
    """Measure, in one run on one machine, and print JSON."""


@bench.command()
@click.option("--mentions", default=4000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--brands", default=10, show_default=True)
@click.option("--routes", default=40, show_default=True)
@click.option("--check", is_flag=True, help="Fail when a part is 25 % slower than committed, against vaderSentiment.")
def core(mentions: int, rounds: int, brands: int, routes: int, check: bool) -> None:
    """The pure core, part by part, against vaderSentiment."""
    from pipeline.bench.core import measure

    result = measure(mentions, rounds, brands=brands, routes=routes, check=check)
    _print(result)
    if check and result["slower"]:
        slower = ", ".join(f"{name} {times:.2f} times" for name, times in result["slower"].items())
        fail(
            f"slower than what is committed in pipeline/bench/expected.json: {slower}. Find out with "
            "`python -m cProfile -m pipeline bench core`; where the cost is wanted, commit the new ratios"
        )


@bench.command()
@click.option("--mentions", default=3000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Also draw it, as SVG.")
def growth(mentions: int, rounds: int, plot: Path | None) -> None:
    """What a mention costs with more brands, more rules, longer and stranger texts."""
    from pipeline.bench.growth import measure, panels
    from pipeline.bench.plot import curves

    result = measure(mentions, rounds, _say)
    _print(result)
    if plot:
        plot.write_text(curves(panels(result)), "utf-8")


@bench.command()
@broker_option
@click.option("--mentions", default=40_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--peers", default="confluent-loop,faust,quix,bytewax", show_default=True, help="Which others to run.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Also draw it, as SVG.")
def triage(broker: str | None, mentions: int, rounds: int, peers: str, plot: Path | None) -> None:
    """Triage with everything on, against the bare VADER loop and other engines, on a broker of its own."""
    from pipeline.bench.plot import bars
    from pipeline.bench.triage import available, fresh_broker, measure
    from pipeline.contract.errors import EarshotError

    asked = tuple(peer for peer in peers.split(",") if peer)
    try:
        wanted = available(asked)
        if missing := [peer for peer in asked if peer not in wanted]:
            _say(f"not installed, left out: {', '.join(missing)} (`make bench` installs them apart)")
        with fresh_broker(broker) as client:
            result = measure(client, count=mentions, peers=wanted, rounds=rounds, say=_say)
    except EarshotError as error:
        fail(str(error))
    _print(result)
    if plot:
        ratios = dict(sorted(result["ratio_to_bare_vader"].items(), key=lambda pair: -pair[1]))
        title = "Mentions a second against the bare VADER loop, one worker"
        plot.write_text(bars(title, ratios, unit="×", marked="earshot"), "utf-8")


@bench.command()
@broker_option
@click.option("--rates", default="10,100,1000,5000", show_default=True, help="Mentions a second.")
@click.option("--seconds", default=20, show_default=True, help="How long at each rate.")
def latency(broker: str | None, rates: str, seconds: int) -> None:
    """From publishing a page to the department's topic."""
    from pipeline.bench.latency import measure
    from pipeline.bench.triage import fresh_broker

    with fresh_broker(broker) as client:
        _print(measure(client, rates=[int(rate) for rate in rates.split(",")], seconds=seconds, say=_say))


@bench.command()
@click.option("--mentions", default=30_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def scaling(mentions: int, rounds: int) -> None:
    """Two triage workers against one, on a broker of its own."""
    import tempfile

    from pipeline.bench.scaling import measure
    from pipeline.broker.embedded import EmbeddedKafka

    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka(Path(folder)) as kafka:
        client = {"bootstrap.servers": kafka.bootstrap}
        _print(measure(client, kafka.pid, Path(folder), count=mentions, rounds=rounds, say=_say))


@bench.command()
@click.option("--rounds", default=3, show_default=True)
def start(rounds: int) -> None:
    """How long `earshot --help` and `earshot up` take, and the memory of each role."""
    from pipeline.bench.starting import measure

    _print(measure(rounds, _say))
