"""The role `connectors`: all enabled sources of the configuration, the heartbeats, and the erasures of raw payloads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from connectors import assignment, registry
from connectors.account import Accounts
from connectors.base import Connector, mention, read_settings, secrets_of, utc_now
from connectors.erasing import erase_raw
from connectors.http import Http, make_client
from connectors.lasting import Lasting
from connectors.publisher import KafkaPublisher, Publisher
from connectors.runner import Runner
from connectors.states import OnState, SourceState, StateOf
from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, ConfigError
from pipeline.contract.events import Kind, Mention
from pipeline.contract.metrics import Metrics
from pipeline.topology import MENTIONS

HEARTBEAT: Final = "heartbeat"
ASK_AGAIN: Final = 2.0  # seconds until the group is joined again after Kafka was gone
STOP_TIMEOUT: Final = 5.0
TAKE_BACK: Final = assignment.SESSION_TIMEOUT + 3.0
"""Seconds after which a source is taken back that another process took over, when the group still gives it to us. By
then a process that was taken for dead has learned so."""

MakePublisher = Callable[[str], Publisher]
log = structlog.get_logger(__name__)


def build(
    config: Config,
    name: str,
    client: httpx.AsyncClient,
    metrics: Metrics | None = None,
    accounts: Accounts | None = None,
) -> Connector[Any]:
    """Return the connector of one configured source. Opens no connection. Raises ConfigError.

    With `accounts` it shares tokens and limits with all others that have the same credential.
    """
    source = config.sources.get(name)
    if source is None:
        there = ", ".join(config.sources) or "none"
        raise ConfigError(f"there is no source {name!r} in the configuration; there are: {there}")
    try:
        kind = registry.find(source.type)
    except ConfigError as error:
        raise ConfigError(f"sources.{name}.type: {error}") from None
    settings = read_settings(kind.settings_type, name, source.settings())
    http = Http(client, connector=name, metrics=metrics, clock=utc_now, secrets=secrets_of(settings))
    connector = kind(name, settings, http)
    connector.keeps_raw = source.keep_raw
    if accounts is not None:
        http.account = accounts.shared(http.account)
    return connector


async def serve(
    config: Config,
    client: Mapping[str, Any],
    metrics: Metrics,
    stop: asyncio.Event,
    on_state: OnState | None = None,
    *,
    make_publisher: MakePublisher | None = None,
    name: str | None = None,
) -> None:
    """Run the sources that are this process's share, heartbeats and erasures, until `stop`.

    `client` are aiokafka's connection arguments; `name` is what this process is called in their group. A source whose settings are wrong is shown as refused with the
    reason and stops nothing else. Raises nothing on purpose: Kafka being away is waited out.
    """
    lasting = Lasting(client)
    make = make_publisher or (lambda name: KafkaPublisher(client, name, lasting=lasting))
    async with make_client(config.contact) as http:
        sources = _Sources(config, http, metrics, on_state, make)
        beside = [
            asyncio.create_task(heartbeats(client, metrics, config.heartbeat_interval)),
            asyncio.create_task(erase_raw(client)),
        ]
        try:
            while not stop.is_set():
                try:
                    await assignment.share(client, list(sources.names), sources.run_only, stop, name=name)
                except BrokerUnavailableError as error:
                    sources.lapse()
                    log.warning("kafka does not answer", reason=str(error))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), ASK_AGAIN)
        finally:
            for task in beside:
                task.cancel()
            await sources.run_only(set())
            await sources.close()
            await asyncio.gather(*beside, return_exceptions=True)


class _Sources:
    """The sources this process runs at the moment."""

    def __init__(
        self,
        config: Config,
        http: httpx.AsyncClient,
        metrics: Metrics,
        on_state: OnState | None,
        make_publisher: MakePublisher,
    ) -> None:
        self._config = config
        self._http = http
        self._metrics = metrics
        self._on_state = on_state
        self._make_publisher = make_publisher
        self._accounts = Accounts(make_publisher)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._ours: set[str] = set()
        self.names = [name for name, source in config.sources.items() if source.enabled]

    async def run_only(self, ours: set[str]) -> None:
        """Stop what is no longer ours, start what is and does not run."""
        self._ours = set(ours)
        leaving = [self._tasks.pop(name) for name in list(self._tasks) if name not in ours]
        for task in leaving:
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
            task.cancel()
        if leaving:
            await asyncio.wait(leaving, timeout=STOP_TIMEOUT)
        if self._leaving:  # what it may still write is fenced by whoever takes over
            log.warning("sources are slow to stop", count=len(self._leaving))
        for name in sorted(ours):
            if name not in self._tasks or self._tasks[name].done():
                self._tasks[name] = asyncio.create_task(self._run(name), name=f"source {name}")

    async def close(self) -> None:
        """Let go of what is kept about credentials."""
        await self._accounts.close()

    def together(self) -> dict[str, str]:
        """Return for each source the one that decides where it runs: those with one credential run in one process.

        Their limits hold in any case; so they need not take turns.
        """
        first: dict[str, str] = {}
        found = {}
        for name in self.names:
            with contextlib.suppress(Exception):  # told when it is to run
                account = build(self._config, name, self._http).http.account
                found[name] = first.setdefault(account.name, name) if account.is_lasting else name
        return found

    def lapse(self) -> None:
        """Note that we are in no group: what runs goes on, but what another process takes over is not taken back."""
        self._ours = set()

    async def _run(self, name: str) -> None:
        try:
            connector = build(self._config, name, self._http, self._metrics, self._accounts)
        except Exception as error:
            reason = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__} in the connector's code"
            state = StateOf(name, self._metrics, self._on_state, clock=utc_now)
            state.to(SourceState.REFUSED if isinstance(error, ConfigError) else SourceState.FAILED, reason)
            return
        runner = Runner(connector, self._make_publisher(name), self._metrics, on_state=self._on_state)
        while True:
            await runner.run()  # returns when another process has taken over
            # That process may have been on its way out: without this nobody would run a source that is still ours.
            await asyncio.sleep(TAKE_BACK)
            if name not in self._ours:
                return


def heartbeat(partition: int, now: datetime) -> Mention:
    """Return the synthetic mention that measures the whole way of one partition."""
    return mention(
        HEARTBEAT,
        f"{partition}-{int(now.timestamp() * 1000)}",
        created_at=now,
        now=now,
        kind=Kind.MESSAGE,
        connector=HEARTBEAT,
    )


async def heartbeats(client: Mapping[str, Any], metrics: Metrics, interval: float) -> None:
    """Write one heartbeat to each partition of `mentions` every `interval` seconds, for ever; 0 writes none."""
    while interval > 0:
        producer = AIOKafkaProducer(**client, client_id="earshot-heartbeat", enable_idempotence=True)
        try:
            await producer.start()
            while True:
                for partition in sorted(await producer.partitions_for(MENTIONS)):
                    beat = heartbeat(partition, utc_now())
                    headers = codec.headers(
                        Mention, event_id=beat.id, source="earshot/connectors/heartbeat", at=beat.created_at
                    )
                    await producer.send_and_wait(
                        MENTIONS, codec.encode(beat), key=beat.id.encode(), partition=partition, headers=headers
                    )
                metrics.heartbeat.labels("connectors").set(utc_now().timestamp())
                await asyncio.sleep(interval)
        except (KafkaError, OSError) as error:
            log.warning("no heartbeats", reason=type(error).__name__)
            await asyncio.sleep(min(interval, ASK_AGAIN))
        finally:
            with contextlib.suppress(KafkaError, OSError):
                await producer.stop()
