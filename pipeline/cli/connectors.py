"""`earshot connectors`: the configured sources, one real request to one of them, and a new connector."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.completion import sources
from pipeline.cli.options import broker_option, config_option, fail, load

if TYPE_CHECKING:
    from connectors.base import Connector
    from pipeline.config.model import Config


@click.group()
def connectors() -> None:
    """List the sources, check one of them, make a new connector."""


@connectors.command(name="list")
@config_option
@broker_option
@click.option("--http", default="127.0.0.1:9477", show_default=True, envvar="EARSHOT_HTTP", help="Of `earshot up`.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def list_(config_path: Path | None, broker: str | None, http: str, as_json: bool) -> None:
    """List the configured sources: state, rate limit, last mention, last checkpoint; and the types there are.

    State and rate limit are asked of a running `earshot up`; checkpoints are read from Kafka when it answers. Starts
    nothing and waits for nobody long.
    """
    from connectors import registry
    from pipeline.cli.listing import as_object, gather, rows, said
    from pipeline.contract.errors import EarshotError

    config = load(config_path)
    try:
        types = registry.names()
        found = gather(config, broker, http)
    except EarshotError as error:
        fail(str(error), code=2)
    if as_json:
        click.echo(json.dumps({**as_object(config, found), "types": types}, ensure_ascii=False))
        return
    table = rows(config, found)
    if table:
        widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
        for row in table:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    else:
        click.echo("no sources are configured: add some under `sources:` in earshot.yaml")
    click.echo(f"\ntypes: {', '.join(types)}")
    for line in said(found):
        click.echo(line, err=True)


@connectors.command()
@click.argument("name", shell_complete=sources)
@config_option
def check(name: str, config_path: Path | None) -> None:
    """Ask the source NAME once and say what was found, or what is wrong and how to mend it.

    The exit code is 0 when it answers, 1 when it does not. No broker is needed, nothing is published, and no secret is
    shown.
    """
    from connectors import registry
    from connectors.base import secrets_of
    from connectors.http import hidden, make_client
    from connectors.role import build
    from pipeline.contract.errors import ConfigError, EarshotError, RateLimitedError, SourceRefusedError

    config = load(config_path)
    if name not in config.sources and name in registry.names():
        fail(f"{name} is a type of source, but none is configured under that name: {_sources(config)}")
    secrets: list[str] = []

    async def ask() -> tuple[Connector[Any], str]:
        async with make_client(config.contact) as client:
            connector = build(config, name, client)
            secrets.extend(secret.get_secret_value() for secret in secrets_of(connector.settings))
            return connector, await connector.check()

    try:
        connector, found = asyncio.run(ask())
    except NotImplementedError:
        click.echo(f"{name}: its settings are right. It calls us: there is nothing to ask until `earshot up` runs.")
        return
    except RateLimitedError as error:
        wait = f" {error.retry_after:.0f} s" if error.retry_after else ""
        fail(hidden(f"{name}: {error}{wait}; its address and credentials are right, ask less often", secrets))
    except ConfigError as error:
        fail(hidden(str(error), secrets))
    except SourceRefusedError as error:
        where = f"connectors/{registry.module_name(config.sources[name].type)}/README.md"
        fail(hidden(f"{name}: {error}\n  what this source needs is written in {where}", secrets))
    except EarshotError as error:
        fail(hidden(f"{name}: {error}", secrets))
    except KeyboardInterrupt:
        fail("broken off", code=130)
    except Exception as error:
        from pipeline.cli.wording import place_of

        fail(hidden(f"{name}: an error in the connector's code: {place_of(error)}", secrets))
    quota = connector.http.quota
    left = f"; {quota.share:.0%} of its rate limit is left" if quota and quota.share is not None else ""
    off = "" if config.sources[name].enabled else " (the source is switched off: enabled: false)"
    click.echo(hidden(f"{name}: {found}{left}{off}", secrets))


@connectors.command()
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for it [default: connectors/ of a checkout, else ./earshot-NAME].",
)
def new(name: str, into: Path | None) -> None:
    """Make the connector NAME: a copy of the template that keeps every promise from the start.

    In a checkout of earshot it becomes a folder of connectors/. Anywhere else it becomes a package of its own, which
    earshot finds once it is installed.
    """
    from connectors.scaffold import new as make
    from pipeline.contract.errors import ConfigError

    try:
        made = make(name, into)
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or into} cannot be written: {error.strerror}")
    click.echo(f"made {made.folder}\n\nnext:")
    for number, step in enumerate(made.steps, 1):
        click.echo(f"  {number}. {step}")


def _sources(config: Config) -> str:
    return f"there are: {', '.join(config.sources)}" if config.sources else "no sources are configured"
