"""`earshot import`: mentions as JSON Lines to the topic `mentions`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self

import click

from pipeline.cli.options import broker_option, config_option, fail, load

_FILES = click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True))


@click.command(name="import")
@_FILES
@config_option
@broker_option
@click.option("--source", default="import", show_default=True, help="Source of lines that do not name their own.")
@click.option("--backfill", "is_backfill", is_flag=True, help="Mark them as past: counted and routed, nobody is paged.")
@click.option("--quiet", is_flag=True, help="Only errors on standard error.")
def import_(
    files: tuple[str, ...], config_path: Path | None, broker: str | None, source: str, is_backfill: bool, quiet: bool
) -> None:
    """Write mentions from JSON Lines to the topic mentions.

    Without FILES, or for `-`, standard input is read. At the least: {"id": "1", "text": "…"}. A bad line is reported
    with its number and does not end the import; the exit code is 1 then.
    """
    from connectors.base import utc_now
    from pipeline.cli.broker import attach
    from pipeline.cli.importing import Writer, mentions, write_all
    from pipeline.contract.errors import EarshotError

    config = load(config_path)
    refused = 0

    def refuse(where: str, what: str) -> None:
        nonlocal refused
        refused += 1
        click.echo(f"earshot: {where}: {what}", err=True)

    written, began = 0, time.monotonic()
    try:
        with attach(broker, config) as client, _progress(files, quiet) as bar:
            writer = Writer(client)
            for name in files or ("-",):
                shown = "standard input" if name == "-" else name
                with _opened(name) as lines:
                    found = mentions(
                        bar.read(lines),
                        now=utc_now(),
                        source=source,
                        backfill=is_backfill,
                        refuse=lambda number, what, shown=shown: refuse(f"{shown}, line {number}", what),  # type: ignore[misc]
                    )
                    before = written
                    written += write_all(writer, found, refuse=refuse, progress=lambda n, b=before: bar.wrote(b + n))  # type: ignore[misc]
    except EarshotError as error:
        fail(f"{error}; {written} mentions had been written")
    except KeyboardInterrupt:
        fail(f"broken off; {written} mentions have been written, doing it again repeats none of them", code=130)
    if not quiet:
        took = time.monotonic() - began
        more = f", {refused} lines refused" if refused else ""
        click.echo(f"{written} mentions written in {took:.1f} s{more}", err=True)
    sys.exit(1 if refused else 0)


class _Bar:
    """A progress bar on standard error when that is a terminal, nothing otherwise."""

    def __init__(self, size: int | None, is_shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not is_shown,
            transient=True,
        )
        self._task = self._progress.add_task("0 mentions", total=size)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def read(self, lines: IO[bytes]) -> Iterator[bytes]:
        unseen = 0
        for number, line in enumerate(lines):
            unseen += len(line)
            if number % 200 == 0:
                self._progress.advance(self._task, unseen)
                unseen = 0
            yield line
        self._progress.advance(self._task, unseen)

    def wrote(self, count: int) -> None:
        self._progress.update(self._task, description=f"{count} mentions")


def _progress(files: tuple[str, ...], quiet: bool) -> _Bar:
    is_known = bool(files) and "-" not in files
    size = sum(Path(name).stat().st_size for name in files) if is_known else None
    return _Bar(size, is_shown=sys.stderr.isatty() and not quiet)


def _opened(name: str) -> Any:
    import contextlib

    return contextlib.nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")
