"""Options that commands share, and what they stand for (design, section 13)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from pipeline.config.model import Config, Deep, Notifier
    from pipeline.runtime.deep.asking import Second

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_FILE = "earshot.yaml"


def config_option(command: F) -> F:
    """Add `--config F` (else EARSHOT_CONFIG, else ./earshot.yaml) as the parameter `config_path`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="EARSHOT_CONFIG",
        help="Configuration file [default: ./earshot.yaml].",
    )(command)


def broker_option(command: F) -> F:
    """Add `--broker embedded|memory|HOST:PORT,…` (else EARSHOT_BROKER, else the file, else embedded) as `broker`."""
    return click.option(
        "--broker",
        envvar="EARSHOT_BROKER",
        metavar="embedded|memory|HOST:PORT,…",
        help="Where Kafka is [default: what the file says, else embedded].",
    )(command)


def load(path: Path | None, *, with_notifiers: bool = False) -> Config:
    """Return the configuration of that file, of ./earshot.yaml, or the smallest valid one where neither exists.

    Ends the program with exit code 2 and advice on standard error when the file is wrong or was named but is absent.
    `with_notifiers` also checks the receivers' own settings and looks up their secrets: who cannot tell on-call of an
    incident must not find out when there is one; and that the stronger sentiment model is there. A source that is wrong is shown as refused and stops nothing else.
    """
    from pipeline.config.load import read
    from pipeline.config.model import Config
    from pipeline.contract.errors import ConfigError

    if path is None:
        path = Path(DEFAULT_FILE)
        if not path.exists():
            return Config(version=1)
    try:
        if with_notifiers:
            return read(path, check_notifier=check_notifier, check_model=check_model)
        return read(path)
    except ConfigError as error:
        fail(str(error), code=2)


def check_notifier(name: str, notifier: Notifier) -> list[str]:
    """Return what is wrong with one receiver's settings."""
    from pipeline.notifiers.registry import check

    return check(name, notifier)


def check_model(deep: Deep) -> list[str]:
    """Return what is wrong with the stronger sentiment model, as far as it can be told without fetching it."""
    from pipeline.runtime.deep.loading import check

    return check(deep)


def second(config: Config) -> Second | None:
    """Return the stronger sentiment tier of a configuration, with all the time it needs; None where it names none.

    Ends the program with exit code 2 and advice where it cannot be had.
    """
    if config.sentiment.deep is None:
        return None
    from pipeline.contract.errors import ConfigError
    from pipeline.runtime.deep.asking import patient, second_of

    try:
        return second_of(patient(config))
    except ConfigError as error:
        fail(str(error), code=2)


def broker_address(broker: str | None, config: Config) -> str:
    """Return `embedded`, `memory` or bootstrap addresses, in the order option, environment, file, default."""
    return broker or config.broker or "embedded"


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong on standard error and end with this exit code."""
    click.echo(f"earshot: {message}", err=True)
    sys.exit(code)
