"""`earshot backfill`: a source's past to the topic `mentions`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.cli.completion import sources
from pipeline.cli.options import broker_option, config_option, fail, load

if TYPE_CHECKING:
    from connectors.backfill import Progress, Tell
    from pipeline.config.model import Config

SAY_EVERY: Final = 10.0  # seconds between two lines where there is no terminal


@click.command()
@click.option("--source", required=True, metavar="NAME", shell_complete=sources, help="A source of earshot.yaml.")
@click.option("--since", required=True, metavar="TIME", help="2026-11-01, 2026-11-01T09:00:00Z, or how long ago: 7d.")
@click.option("--until", metavar="TIME", help="Where to end [default: the present].")
@config_option
@broker_option
@click.option("--quiet", is_flag=True, help="Only errors on standard error.")
def backfill(
    source: str, since: str, until: str | None, config_path: Path | None, broker: str | None, quiet: bool
) -> None:
    """Write a source's past to the topic mentions, marked as backfill: counted and routed, nobody is paged.

    It may run beside `earshot up`. Broken off with Ctrl-C, by an error or by a crash, the same command goes on where it
    was and writes nothing twice. Rate limits of the source are waited for.
    """
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import ConfigError, EarshotError
    from pipeline.runtime import logs

    now = datetime.now(UTC)
    begin = _instant(since, "--since", now)
    end = _instant(until, "--until", now) if until else None
    config = load(config_path)
    logs.configure(environment={"EARSHOT_LOG": "error"})
    # How long ago moves with the clock: an instant does not, and goes on where this was.
    again = f"earshot backfill --source {source} --since {_written(begin)}" + (
        f" --until {_written(end)}" if end else ""
    )
    began, state = time.monotonic(), _State()
    code, said = 0, ""
    try:
        _check(config, source, begin, end or now)
        with attach(broker, config) as client, _shown(state, begin, end or now, quiet) as tell:
            asyncio.run(_run(config, source, client, begin, end, tell))
    except ConfigError as error:
        fail(str(error), code=2)
    except EarshotError as error:
        code, said = 1, f"{error}; {state.words()}. Go on with: {again}"
    except (KeyboardInterrupt, asyncio.CancelledError):
        code, said = 130, f"broken off; {state.words()}. Go on with: {again}"
    except Exception as error:
        from pipeline.cli.wording import place_of

        code, said = 1, f"an error in the connector: {place_of(error)}; {state.words()}. Go on with: {again}"
    if code:
        fail(said, code=code)
    if not quiet:
        click.echo(f"{state.words()}, in {time.monotonic() - began:.1f} s", err=True)


async def _run(
    config: Config, name: str, client: Mapping[str, Any], since: datetime, until: datetime | None, tell: Tell
) -> None:
    from connectors.account import Accounts
    from connectors.backfill import Backfill, checkpoint_name
    from connectors.http import make_client
    from connectors.publisher import KafkaPublisher
    from connectors.role import build
    from pipeline.broker.client import aiokafka
    from pipeline.contract.metrics import Metrics

    this = asyncio.current_task()
    if this is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    async with make_client(config.contact) as http:
        accounts = Accounts(lambda account: KafkaPublisher(aiokafka(client), account))
        connector = build(config, name, http, accounts=accounts)
        publisher = KafkaPublisher(aiokafka(client), checkpoint_name(connector, since, until))
        try:
            await Backfill(connector, publisher, Metrics(), since=since, until=until, tell=tell).run()
        finally:
            await accounts.close()


def _check(config: Config, name: str, begin: datetime, end: datetime) -> None:
    """Raise ConfigError for what cannot be done, before a broker is asked, let alone started."""
    from connectors import registry
    from connectors.base import Connector, PushConnector
    from pipeline.contract.errors import ConfigError

    if name not in config.sources:
        there = ", ".join(config.sources) or "none"
        raise ConfigError(f"there is no source {name!r} in the configuration; there are: {there}")
    kind = registry.find(config.sources[name].type)
    if issubclass(kind, PushConnector):
        raise ConfigError(f"{name}: this source calls us and cannot be asked for its past")
    if kind.cursor_at is Connector.cursor_at:
        raise ConfigError(
            f"{name}: the source {kind.name} cannot be asked for its past; "
            "what you have of it as JSON Lines goes in with: earshot import --backfill"
        )
    if begin >= end:
        raise ConfigError(f"there is no time between {_written(begin)} and {_written(end)}")


def _instant(text: str, option: str, now: datetime) -> datetime:
    from pipeline.config.model import seconds

    try:
        if text[:1].isdigit() and text[-1:] in "smhdw":
            return (now - timedelta(seconds=float(str(seconds(text))))).replace(microsecond=0)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        fail(
            f"{option} {text}: write a time as 2026-11-24T09:00:00Z, a day as 2026-11-24, or how long ago as 7d", code=2
        )


def _written(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


class _State:
    """The last progress that was told."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def words(self) -> str:
        found = self.progress
        count = found.mentions if found else 0
        resumed = " (going on where it was)" if found and found.resumed else ""
        upto = f", up to {found.reached:%Y-%m-%d %H:%M} UTC" if found and found.reached else ""
        return f"{count} mentions written{upto}{resumed}"


@contextlib.contextmanager
def _shown(state: _State, begin: datetime, end: datetime, quiet: bool) -> Iterator[Tell]:
    """Yield what is told of the progress: a bar on a terminal, a line now and then elsewhere, both on standard error."""
    from rich import progress as rich
    from rich.console import Console

    description, note = rich.TextColumn("{task.description}"), rich.TextColumn("{task.fields[note]}")
    columns = (description, rich.BarColumn(), rich.TimeRemainingColumn(), note)
    is_bar = sys.stderr.isatty() and not quiet
    with rich.Progress(*columns, console=Console(stderr=True), disable=not is_bar, transient=True) as bar:
        task = bar.add_task("0 mentions", total=(end - begin).total_seconds(), note="")
        said_at, said_note = time.monotonic(), None

        def tell(progress: Progress) -> None:
            nonlocal said_at, said_note
            state.progress = progress
            done = (progress.reached - begin).total_seconds() if progress.reached else 0.0
            bar.update(task, description=state.words(), completed=max(0.0, done), note=progress.note or "")
            is_time = time.monotonic() - said_at >= SAY_EVERY or progress.note not in (None, said_note)
            if not is_bar and not quiet and is_time:
                said_at, said_note = time.monotonic(), progress.note
                click.echo(state.words() + (f"; waiting: {progress.note}" if progress.note else ""), err=True)

        yield tell
