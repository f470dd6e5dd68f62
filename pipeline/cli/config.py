"""`earshot config`: is the file right, and what may be in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import DEFAULT_FILE, check_model, check_notifier, config_option, fail

if TYPE_CHECKING:
    from pipeline.config.model import Config, Source


@click.group()
def config() -> None:
    """Check the configuration file, or print what may be in it."""


@config.command()
@config_option
def check(config_path: Path | None) -> None:
    """Say what is right, or every mistake with its line and what to write instead.

    The exit code is 0 when the file is right and 2 when it is not. Secrets are looked up: those of notifiers and of
    sources that are enabled must be there.
    """
    from pipeline.config.load import InvalidConfigError, read
    from pipeline.config.model import Config
    from pipeline.contract.errors import ConfigError

    path = config_path or Path(DEFAULT_FILE)
    if config_path is None and not path.exists():
        click.echo(f"there is no {path}: the smallest valid configuration is used (version: 1)")
        _say(Config(version=1))
        return
    try:
        found = read(path, check_source=_check_source, check_notifier=check_notifier, check_model=check_model)
    except InvalidConfigError as error:
        for problem in error.problems:
            click.echo(f"{path}:{problem.line}:{problem.column}: {problem}", err=True)
        count = len(error.problems)
        click.echo(f"{count} {'mistake' if count == 1 else 'mistakes'}", err=True)
        sys.exit(2)
    except ConfigError as error:
        fail(str(error), code=2)
    click.echo(f"{path} is right")
    _say(found)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    from pipeline.config.schema import text

    click.echo(text(), nl=False)


def _check_source(name: str, source: Source) -> list[str]:
    from connectors.base import read_settings
    from connectors.registry import find
    from pipeline.contract.errors import ConfigError

    try:
        kind = find(source.type)
    except ConfigError as error:
        return [f"sources.{name}.type: {str(error).replace('; ', ' — ', 1)}"]
    try:
        read_settings(kind.settings_type, name, source.settings())
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _say(config: Config) -> None:
    examples = sum(len(route.examples) + len(route.counter_examples) for route in config.routes)
    off = [name for name, source in config.sources.items() if not source.enabled]
    sources = [f"{name} ({source.type})" for name, source in config.sources.items() if source.enabled]
    for heading, names, otherwise in (
        ("brands", list(config.brands), "none: every mention is relevant"),
        ("sources", sources, "none: import and webhook only"),
        ("sources off", off, ""),
        ("departments", [*config.departments, "review"], ""),
        ("campaigns", list(config.campaigns), ""),
        (
            "notifiers",
            [f"{name} ({one.type})" for name, one in config.notifiers.items()],
            "none: alerts are told on the console",
        ),
    ):
        if names or otherwise:
            click.echo(f"  {heading}: {', '.join(names) or otherwise}")
    if config.sentiment.deep is not None:
        click.echo(f"  stronger sentiment model: {config.sentiment.deep.model}")
    shipped = "before the shipped rules" if config.routing.shipped_rules else "the shipped rules are off"
    click.echo(f"  routes: {len(config.routes)}, {shipped}; {examples} examples tried")
