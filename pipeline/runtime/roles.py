"""One role as a process: logs, health server, signals, exit codes. What the role does is in the module it calls.

Exit codes: 0 ended in order; 1 an error that a restart may mend; 2 the configuration is wrong; 3 fenced by another
instance; 4 the dead-letter limit. `earshot up` restarts after 1 and 3, never after 2 and 4.

A role that is asked to end has ended STOP_TIMEOUT seconds later, whatever Kafka and its clients do: what was not
committed by then is done again by whoever comes next, and nobody has seen it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import generate_latest

from pipeline.broker import memory
from pipeline.config.model import Config
from pipeline.contract.errors import ConfigError, DeadLetterLimitError, EarshotError, FencedError
from pipeline.contract.metrics import Metrics
from pipeline.core import native
from pipeline.runtime import logs
from pipeline.runtime.health import Health, end_when_dead, serve
from pipeline.runtime.status import LAST_METRICS, Status, follow_parent

ROLES: Final = ("connectors", "triage", "reputation", "learning", "notify")
STALLED: Final = 60.0  # seconds without a turn of its loop after which a role is not alive
STOP_TIMEOUT: Final = 7.0  # seconds a role has to end in order; `earshot up` kills after 8, Kubernetes after 30
log = structlog.get_logger(__name__)


@dataclass
class Role:
    """What every role is given."""

    name: str
    config: Config
    client: Mapping[str, Any]  # confluent-kafka settings
    instance: str  # unique among the workers of one role
    metrics: Metrics
    health: Health
    status: Status
    stop: threading.Event


def run(
    name: str,
    config: Config,
    client: Mapping[str, Any],
    *,
    http: tuple[str, int] | None,
    instance: str | None = None,
    say: Callable[[str], None],
) -> int:
    """Run one role until SIGTERM or SIGINT; return the exit code. `say` gets one line for a person when it fails."""
    logs.configure().add(*logs.secrets_in(config))
    role = Role(
        name=name,
        config=config,
        client=client,
        instance=f"{socket.gethostname()}-{instance if instance is not None else os.getpid()}",
        metrics=Metrics(),
        health=Health(),
        status=Status(),
        stop=threading.Event(),
    )
    role.metrics.build_info.labels(version("earshot"), platform.python_version(), native.used()).set(1)
    memory.take_marks()
    obeying = contextlib.ExitStack()
    obeying.enter_context(obey(role.stop, lambda: _leave_metrics(role.metrics)))
    server = watchdog = None
    try:
        if http is not None:
            server = serve(*http, role.health, role.metrics.registry)
            role.status.tell(http=server.address)
        follow_parent()
        watchdog = end_when_dead(role.health, _stuck)
        _BODIES[name](role)
        return 0
    except ConfigError as error:
        say(str(error))
        return 2
    except FencedError as error:
        say(str(error))
        return 3
    except DeadLetterLimitError as error:
        say(str(error))
        return 4
    except EarshotError as error:
        say(str(error))
        return 1
    finally:
        if watchdog:
            watchdog.set()
        _leave_metrics(role.metrics)
        if server:
            server.close()
        obeying.close()


@contextlib.contextmanager
def on_signal(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` once, in a thread, when SIGTERM or SIGINT comes.

    The signal is taken from a pipe: a Python handler would wait until the main thread is back from a call into
    librdkafka, which may take half a minute while no broker answers, and one that sets an event on which the main
    thread waits would now and then wait for a lock that this thread itself holds.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def listen() -> None:
        has_acted = False
        while numbers := os.read(reading, 64):
            if not has_acted and {signal.SIGTERM, signal.SIGINT} & set(numbers):
                has_acted = True
                act()

    listening = threading.Thread(target=listen, name="signals", daemon=True)
    listening.start()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(writing)
        listening.join(1.0)
        os.close(reading)


@contextlib.contextmanager
def obey(
    stop: threading.Event,
    last_words: Callable[[], None],
    *,
    timeout: float = STOP_TIMEOUT,
    end: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """Set `stop` on SIGTERM or SIGINT; when the block has not been left `timeout` seconds later, end the process."""
    ended = threading.Event()

    def see_to_it() -> None:
        if ended.wait(timeout):
            return
        log.error("did not end in order in time, ending all the same", seconds=timeout)
        with contextlib.suppress(Exception):
            last_words()
        end(1)

    def ask() -> None:
        if not stop.is_set():
            stop.set()
            threading.Thread(target=see_to_it, name="deadline", daemon=True).start()

    with on_signal(ask):
        try:
            yield
        finally:
            ended.set()


def _stuck(reasons: Mapping[str, str]) -> None:
    """End at once: a loop that stands still cannot be asked to stop, and what it had not committed is done again."""
    log.error("stuck, ending so that it is started again", reasons=dict(reasons))
    os._exit(1)


def _leave_metrics(metrics: Metrics) -> None:
    where = os.environ.get(LAST_METRICS)
    if where:
        Path(where).write_bytes(generate_latest(metrics.registry))


def _connectors(role: Role) -> None:
    from connectors.assignment import GROUP
    from connectors.role import serve as serve_connectors
    from pipeline.broker.client import aiokafka
    from pipeline.broker.predecessors import leave_for

    def on_state(source: str, state: str, reason: str | None) -> None:
        role.status.tell(source=source, state=state, reason=reason)
        role.health.source(source, state, reason)

    async def body() -> None:
        stop = asyncio.Event()
        waiting = asyncio.create_task(_wait(role.stop, stop))
        try:
            client, name = aiokafka(role.client), f"{GROUP}-{role.instance}"
            await leave_for(client, GROUP, name)
            await serve_connectors(role.config, client, role.metrics, stop, on_state, name=name)
        finally:
            waiting.cancel()

    asyncio.run(body())


async def _wait(thread_event: threading.Event, event: asyncio.Event) -> None:
    while not thread_event.is_set():  # noqa: ASYNC110 - a signal sets a thread's event
        await asyncio.sleep(0.1)
    event.set()


def _triage(role: Role) -> None:
    from pipeline.runtime.collecting import settle
    from pipeline.runtime.triage import TriageWorker

    log.info("triage begins", core=native.used(), why_not_compiled=native.why_not or None)
    worker = TriageWorker(role.config, role.client, role.metrics, instance=role.instance)
    settle()
    role.health.alive(
        "loop",
        lambda: "the loop has stood still for a minute" if time.monotonic() - worker.alive_at > STALLED else None,
    )
    role.health.ready("assigned", lambda: None if worker.is_ready else "no partitions are assigned yet")

    def end() -> None:
        role.stop.wait()
        worker.stop()

    threading.Thread(target=end, name="stop", daemon=True).start()
    worker.run()


def _learning(role: Role) -> None:
    from pipeline.runtime.learning.role import serve as serve_learning

    serve_learning(role)


def _reputation(role: Role) -> None:
    from pipeline.runtime.reputation.worker import serve as serve_reputation

    serve_reputation(role)


def _notify(role: Role) -> None:
    from pipeline.runtime.notify import serve as serve_notify

    serve_notify(role)


_BODIES: Final[dict[str, Callable[[Role], None]]] = {
    "connectors": _connectors,
    "triage": _triage,
    "reputation": _reputation,
    "learning": _learning,
    "notify": _notify,
}
