"""`earshot up`: everything on this machine; `earshot run`: one role, as a cluster runs it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from pipeline.cli.options import broker_address, broker_option, config_option, fail, load

ROLES = ("connectors", "triage", "reputation", "learning", "notify")


def _address(text: str | None) -> tuple[str, int] | None:
    from pipeline.contract.errors import ConfigError
    from pipeline.runtime.health import endpoint

    if not text or text == "off":
        return None
    try:
        return endpoint(text)
    except ConfigError as error:
        fail(str(error), code=2)


@click.command()
@config_option
@broker_option
@click.option("--http", default="127.0.0.1:9477", show_default=True, envvar="EARSHOT_HTTP", help="Health and metrics.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder for Kafka's data and logs."
)
@click.option("--plain", is_flag=True, help="Plain lines even on a terminal.")
def up(config_path: Path | None, broker: str | None, http: str, data: Path | None, plain: bool) -> None:
    """Run everything on this machine: a broker if none is configured, topics, and all roles.

    Stops in order with Ctrl-C: connectors first, then what they have heard goes the whole way.
    """
    from rich.console import Console

    from pipeline.cli.broker import data_folder, start
    from pipeline.contract.errors import EarshotError
    from pipeline.runtime import health, logs
    from pipeline.runtime.roles import on_signal
    from pipeline.runtime.supervise import screen as screens
    from pipeline.runtime.supervise.children import log_file
    from pipeline.runtime.supervise.supervisor import Supervisor

    config = load(config_path, with_notifiers=True)
    address = _address(http)
    console = Console(force_terminal=False if plain else None, highlight=False)
    folder = data_folder(data)
    screen = screens.make(console)
    try:
        if address:
            health.check(*address)
        logs.configure(stream=log_file(folder / "log" / "up.log").open("a", encoding="utf-8"))
        with start(broker_address(broker, config), folder, config, console) as client:
            supervisor = Supervisor(
                config, config_path=config_path, client=client, folder=folder / "log", screen=screen
            )
            server = supervisor.serve(*address) if address else None
            supervisor.view.addresses["kafka"] = str(client["bootstrap.servers"])
            if server:
                supervisor.view.addresses["health"] = f"{server.address}/readyz"
                supervisor.view.addresses["metrics"] = f"{server.address}/metrics"
            supervisor.view.addresses["logs"] = str(folder / "log")
            with on_signal(supervisor.stop), screen:
                account = supervisor.run()
            for number in (signal.SIGTERM, signal.SIGINT):  # all has ended but Kafka, which is asked to as well
                signal.signal(number, lambda *_: None)
            if server:
                server.close()
        click.echo(f"stopped in order. {account.words()}")
    except EarshotError as error:
        fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


@click.command()
@click.argument("role", type=click.Choice(ROLES))
@config_option
@broker_option
@click.option(
    "--http",
    default=None,
    envvar="EARSHOT_HTTP",
    metavar="HOST:PORT",
    help="Serve health and metrics here [default: off].",
)
@click.option(
    "--instance", default=None, envvar="EARSHOT_INSTANCE", help="Name of this worker on this host, kept over restarts."
)
def run(role: str, config_path: Path | None, broker: str | None, http: str | None, instance: str | None) -> None:
    """Run one role. Several of the same role share the work.

    Give each worker of a host an --instance that it keeps when it is restarted: a restarted worker then at once ends
    what its predecessor left open in Kafka.
    """
    from pipeline.cli.broker import attach
    from pipeline.contract.errors import EarshotError
    from pipeline.runtime import roles

    config = load(config_path)
    address = _address(http)
    try:
        with attach(broker, config, is_patient=True) as client:
            code = roles.run(
                role,
                config,
                client,
                http=address,
                instance=instance,
                say=lambda line: click.echo(f"earshot: {line}", err=True),
            )
    except EarshotError as error:
        fail(str(error))
    sys.exit(code)
