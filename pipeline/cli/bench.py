"""`earshot bench`: figures as JSON on standard output, progress on standard error."""

from __future__ import annotations

import json
import platform
from typing import Any

import click

from pipeline.cli.options import broker_option


def _say(line: str) -> None:
    click.echo(line, err=True)


def _print(result: dict[str, Any]) -> None:
    import os

    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    click.echo(json.dumps({"machine": machine, **result}, indent=2))


@click.group()
def bench() -> None:
    """Measure, in one run on one machine, and print JSON."""


@bench.command()
@click.option("--mentions", default=4000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--brands", default=10, show_default=True)
@click.option("--routes", default=40, show_default=True)
def core(mentions: int, rounds: int, brands: int, routes: int) -> None:
    """The pure core, part by part, against vaderSentiment."""
    from pipeline.bench.core import measure

    _print(measure(mentions, rounds, brands=brands, routes=routes))


@bench.command()
@click.option("--mentions", default=3000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def growth(mentions: int, rounds: int) -> None:
    """What a mention costs with more brands, more rules, longer and stranger texts."""
    from pipeline.bench.growth import measure

    _print(measure(mentions, rounds, _say))


@bench.command()
@broker_option
@click.option("--mentions", default=40_000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--peers", default="confluent-loop,faust,quix", show_default=True, help="Which others to run.")
def triage(broker: str | None, mentions: int, rounds: int, peers: str) -> None:
    """Triage with everything on, against the bare VADER loop and other engines, on a broker of its own."""
    from pipeline.bench.triage import available, fresh_broker, measure

    wanted = available(tuple(peer for peer in peers.split(",") if peer))
    with fresh_broker(broker) as client:
        _print(measure(client, count=mentions, peers=wanted, rounds=rounds, say=_say))


@bench.command()
@broker_option
@click.option("--rate", default=200, show_default=True, help="Mentions a second.")
@click.option("--seconds", default=30, show_default=True)
def latency(broker: str | None, rate: int, seconds: int) -> None:
    """From publishing a page to the department's topic."""
    from pipeline.bench.latency import measure
    from pipeline.bench.triage import fresh_broker

    with fresh_broker(broker) as client:
        _print(measure(client, rate=rate, seconds=seconds))
