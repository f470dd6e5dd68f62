"""`earshot topics`: create or change topics as declared, and show the map."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.options import broker_option, config_option, fail, load


@click.group()
def topics() -> None:
    """Create or change topics as declared; show the map."""


@topics.command()
@config_option
@broker_option
def apply(config_path: Path | None, broker: str | None) -> None:
    """Create what is missing and change what differs. Partitions are added, never taken away."""
    from pipeline.broker import admin
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import EarshotError
    from pipeline.runtime.declared import declared

    config = load(config_path)
    try:
        with attach(broker, config) as client:
            changes = admin.apply(client, declared(config))
    except EarshotError as error:
        fail(str(error))
    for change in changes:
        click.echo(change)
    click.echo(f"{len(changes)} changes" if changes else "all topics are as declared")


@topics.command()
@config_option
@click.option("--format", "form", type=click.Choice(["text", "mermaid"]), default="text", show_default=True)
def show(config_path: Path | None, form: str) -> None:
    """Print the map: who reads and writes which topic, and how each is kept."""
    from pipeline.runtime.declared import declared, mermaid, table

    config = load(config_path)
    click.echo(mermaid(config) if form == "mermaid" else table(declared(config)))
