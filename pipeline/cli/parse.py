"""`earshot parse`: recorded answers of a source to mentions, without network or broker."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from pipeline.cli.completion import types
from pipeline.cli.options import fail

if TYPE_CHECKING:
    from connectors.base import Connector


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=str))
@click.option("--source", required=True, metavar="NAME", shell_complete=types, help="Whose answers these are.")
def parse(files: tuple[str, ...], source: str) -> None:
    """Turn recorded answers of a source into mentions, one JSON object a line. Asks nobody.

    An answer is a file as the platform sent it: JSON, JSON Lines, XML or an event stream. Without FILES, or for `-`,
    standard input is read. A file that cannot be read is reported and does not end the run; the exit code is 1 then.
    An answer with nothing in it, or with nothing that is a mention, gives no lines.
    """
    from connectors.base import utc_now
    from connectors.registry import find
    from pipeline.contract.errors import ConfigError

    try:
        kind = find(source)
    except ConfigError as error:
        fail(str(error), code=2)
    failed = 0
    out = click.get_binary_stream("stdout")
    for name in files or ("-",):
        said = _parse(kind, name, utc_now(), out)
        if said is not None:
            failed += 1
            click.echo(f"earshot: {'standard input' if name == '-' else name}: {said}", err=True)
    sys.exit(1 if failed else 0)


def _parse(kind: type[Connector[Any]], name: str, now: datetime, out: IO[bytes]) -> str | None:
    """Write the mentions of one answer; return what is wrong with it, None when nothing is."""
    from pipeline.contract import codec
    from pipeline.contract.errors import InvalidMessageError

    try:
        body = click.get_binary_stream("stdin").read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        for mention in kind.parse(body, now):
            out.write(codec.encode(mention) + b"\n")
        out.flush()
    except InvalidMessageError as error:
        return str(error)
    except BrokenPipeError:
        raise
    except Exception as error:
        return f"the connector {kind.name} cannot read this ({type(error).__name__}); that is a defect of the connector"
    return None
