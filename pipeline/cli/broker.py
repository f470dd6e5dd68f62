"""From `--broker` to client settings: start a broker, attach to one that runs, or go to one somewhere else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.options import broker_address

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.config.model import Config


def data_folder(given: Path | None = None) -> Path:
    """Return where this machine's data is: --data, else EARSHOT_DATA, else ./data."""
    return (given or Path(os.environ.get("EARSHOT_DATA") or "data")).resolve()


@contextlib.contextmanager
def start(address: str, folder: Path, config: Config, console: Console) -> Iterator[dict[str, Any]]:
    """Yield client settings of a broker that runs for as long as the block, with its topics as declared."""
    from pipeline.broker import admin
    from pipeline.broker.client import confluent, knock
    from pipeline.broker.embedded import EmbeddedKafka
    from pipeline.broker.memory import WARNING, MemoryBroker
    from pipeline.contract.errors import ConfigError
    from pipeline.runtime.declared import declared

    topics = declared(config)
    if address == "embedded":
        port = os.environ.get("EARSHOT_KAFKA_PORT", "")
        if port and not port.isdigit():
            raise ConfigError(f"EARSHOT_KAFKA_PORT={port}: write a port number")
        with EmbeddedKafka(folder / "kafka", port=int(port) if port else None, console=console) as kafka:
            client = {"bootstrap.servers": kafka.bootstrap}
            admin.apply(client, topics)
            yield client
    elif address == "memory":
        console.print(f"WARNING: {WARNING}", style="bold yellow")
        with MemoryBroker() as memory:
            memory.make([topic.name for topic in topics])
            yield {"bootstrap.servers": memory.bootstrap}
    else:
        found = confluent(address)
        knock(address)
        admin.apply(found, topics)
        yield found


@contextlib.contextmanager
def attach(
    broker: str | None, config: Config, folder: Path | None = None, *, is_patient: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield client settings for a command that only visits.

    With `embedded` that is the broker that `earshot up` runs in this folder; when none runs, one is started on the
    same data for the time being. With addresses, topics are left as they are; when nothing listens there, that is an
    error at once, unless the command `is_patient`, as a worker is that is started together with its broker.
    """
    from rich.console import Console

    from pipeline.broker.client import confluent, knock
    from pipeline.broker.embedded import running

    address = broker_address(broker, config)
    if address == "embedded":
        kept = data_folder(folder)
        found = running(kept / "kafka")
        if found is not None and not found.is_left_over:
            yield {"bootstrap.servers": found.bootstrap}
            return
        address, folder = "embedded", kept
    elif address != "memory":
        found_at = confluent(address)
        if not is_patient:
            knock(address)
        yield dict(found_at)
        return
    with start(address, folder or data_folder(), config, Console(stderr=True)) as client:
        yield client
