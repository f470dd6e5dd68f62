"""`earshot tail`: what departments get, live and readable."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.completion import departments as complete
from pipeline.cli.options import broker_option, config_option, fail, load


@click.command()
@click.argument("departments", nargs=-1, shell_complete=complete)
@config_option
@broker_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, as on the topic.")
@click.option(
    "--last", type=click.IntRange(min=0), default=0, metavar="N", help="Begin with the last N of each partition."
)
@click.option("--most", type=click.IntRange(min=1), default=None, metavar="N", help="End after N mentions.")
def tail(
    departments: tuple[str, ...],
    config_path: Path | None,
    broker: str | None,
    as_json: bool,
    last: int,
    most: int | None,
) -> None:
    """Show what departments get, live. Without a name: all of them. Ctrl-C ends it."""
    from rich.console import Console

    from pipeline.cli.broker import attach
    from pipeline.contract import codec
    from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
    from pipeline.contract.events import JudgedMention
    from pipeline.runtime.lines import marked_up
    from pipeline.runtime.reading import Reader
    from pipeline.topology import DEPARTMENT

    config = load(config_path)
    known = [*config.departments, "review"]
    unknown = [name for name in departments if name not in known]
    if unknown:
        fail(f"no department is called {', '.join(unknown)}; there are: {', '.join(known)}", code=2)
    console = Console(highlight=False)
    try:
        with attach(broker, config) as client:
            names = departments or tuple(known)
            with Reader(client, [DEPARTMENT + name for name in names], last or "end") as reader:
                if reader.missing:
                    fail(f"no topic {', '.join(reader.missing)}: run `earshot topics apply` first")
                shown = 0
                while most is None or shown < most:
                    for message in reader.read(100, 0.3):
                        if message.value() is None:
                            continue
                        if as_json:
                            click.echo(message.value())
                        else:
                            try:
                                mention = codec.decode(JudgedMention, message.value())
                            except InvalidMessageError as error:
                                click.echo(f"earshot: a record on {message.topic()} is unreadable: {error}", err=True)
                                continue
                            console.print(marked_up(mention, message.topic()[len(DEPARTMENT) :], console.width))
                        shown += 1
                        if most is not None and shown >= most:
                            return
    except BrokerUnavailableError as error:
        fail(str(error))
    except KeyboardInterrupt:
        return
