"""One embedded Kafka for a whole test run, shared by all pytest-xdist workers.

The first process that asks starts it as a child of a keeper that lives as long as any test process holds its lock;
topics are unique to a test, so tests do not meet.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
import uuid
from pathlib import Path

import pytest

KEEPER = """
import fcntl, sys, time
from pathlib import Path
from pipeline.broker.embedded import EmbeddedKafka
folder = Path(sys.argv[1])
users = (folder / "users").open("ab")
with EmbeddedKafka(folder / "kafka", port=None) as kafka:
    (folder / "bootstrap.new").write_text(kafka.bootstrap)
    (folder / "bootstrap.new").rename(folder / "bootstrap")
    while True:  # every test process holds a shared lock: when the exclusive one is ours, all of them have gone
        time.sleep(0.5)
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            pass
    (folder / "bootstrap").unlink()
# Whoever asks from now on waits for our lock, which ends with this process, and then finds no broker: it starts another.
"""


def _spawn_keeper(folder: Path) -> None:
    """Start the keeper in a session of its own: it ends by itself, nobody waits for it."""
    root = Path(__file__).parents[1]
    log = (os.POSIX_SPAWN_OPEN, 2, str(folder / "keeper.err"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", KEEPER, str(folder)],
        {**os.environ, "PYTHONPATH": str(root)},
        file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log],
        setsid=True,
    )


@contextlib.contextmanager
def shared(folder: Path):
    """Yield the bootstrap address of the broker that all who name this folder share; started by the first of them."""
    folder.mkdir(exist_ok=True)
    with (folder / "users").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with (folder / "starting").open("ab") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            if not (folder / "bootstrap").exists():
                (folder / "keeper.err").unlink(missing_ok=True)
                _spawn_keeper(folder)
                deadline = time.monotonic() + 180  # the first time Kafka is fetched
                while not (folder / "bootstrap").exists():
                    said = (folder / "keeper.err").read_text()
                    assert "Traceback" not in said, said
                    assert time.monotonic() < deadline, f"embedded Kafka did not start: {said}"
                    time.sleep(0.05)
        yield (folder / "bootstrap").read_text()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory) -> str:
    """Bootstrap address of the run's embedded Kafka."""
    base = tmp_path_factory.getbasetemp()
    with shared((base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "kafka") as bootstrap:
        yield bootstrap


@pytest.fixture
def topic() -> str:
    """A name nobody else uses."""
    return f"test-{uuid.uuid4().hex[:12]}"
