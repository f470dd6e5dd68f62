"""The shell of reputation: Faust carries pulses to the fold, and what the fold says to `alerts`.

`processing_guarantee="exactly_once"`, and every folded value carries the last offset applied of its input partition,
older ones are skipped: together exact, neither alone (design, section 3). Alerts and heartbeats are the changelogs of
tables of their own, because Faust 0.15 puts only changelog records into the transaction of the input partition; what
an agent sends to any other topic is outside of it and comes twice after a crash.

A Faust worker ends itself now and then after a rebalance (ConsistencyError), or hangs: `serve` then raises, the
process ends with code 1, and whatever runs it starts it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import faust
import msgspec
import structlog
from confluent_kafka import Producer
from yarl import URL

from pipeline.broker.client import aiokafka
from pipeline.config.model import AlertRules, Config
from pipeline.contract import codec
from pipeline.contract.errors import InvalidMessageError, RetriableError
from pipeline.contract.events import Alert, Heartbeat, Pulse, Reason, Tick
from pipeline.core.reputation import fold
from pipeline.core.reputation.state import Brand, dump, load, total
from pipeline.core.reputation.symptoms import usual, window
from pipeline.runtime import dead_letters
from pipeline.topology import ALERTS, BRANDS, HEARTBEATS, PULSE

if TYPE_CHECKING:
    from pipeline.runtime.roles import Role

STAGE: Final = "reputation"
APP: Final = "earshot-reputation"
DEAD: Final = PULSE + "-dlq"
SOURCE: Final = "/earshot/reputation"
TICK_EVERY: Final = 5.0  # seconds
COMMIT_EVERY: Final = 0.5  # seconds; an alert is visible to read_committed consumers after it
STALLED: Final = 60.0  # seconds without progress while there is lag
STOP_TIMEOUT: Final = 8.0

log = structlog.get_logger(__name__)


class StalledError(RetriableError):
    """The worker makes no progress; a new process does."""


class Brands:
    """Decoded states of the brands of this worker, kept beside the table that holds their bytes."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._states: dict[bytes, tuple[bytes | None, Brand]] = {}

    def get(self, key: bytes) -> Brand:
        """Return the state of a brand. The table's bytes are the truth: after a rebalance they are another's."""
        raw: bytes | None = self._table.get(key)
        cached = self._states.get(key)
        if cached is not None and cached[0] is raw:
            return cached[1]
        state = load(raw) if raw else Brand(key.decode())
        self._states[key] = (raw, state)
        return state

    def put(self, key: bytes, state: Brand) -> None:
        """Store a state; the change goes to the changelog in the transaction of the event being processed."""
        raw = dump(state)
        self._table[key] = raw
        self._states[key] = (raw, state)

    def of_partition(self, partition: int) -> list[bytes]:
        """Return the brands whose pulses come from this partition."""
        return [key for key in list(self._table.keys()) if partition in self.get(key).offsets]


class Worker:
    """One reputation worker around a Faust app."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.config: Config = role.config
        self.metrics = role.metrics
        self.progress_at = time.monotonic()
        self._producer = Producer({**role.client, "enable.idempotence": True, "partitioner": "murmur2_random"})
        self.metrics.declare(STAGE, reasons=[reason.value for reason in Reason], topics=[ALERTS, HEARTBEATS, DEAD])
        self.app = self._app()
        partitions = self.config.topics.partitions
        raw: dict[str, Any] = {
            "key_type": bytes,
            "value_type": bytes,
            "key_serializer": "raw",
            "value_serializer": "raw",
        }

        def table(name: str, changelog: str) -> Any:
            kept = self.app.topic(changelog, **raw, partitions=partitions)
            return self.app.Table(
                name, default=None, partitions=partitions, changelog_topic=kept, key_type=bytes, value_type=bytes
            )

        self.brands = Brands(table("brands", BRANDS))
        self.alerts = table("alerts", ALERTS)
        self.heartbeats = table("heartbeats", HEARTBEATS)
        self.pulses = self.app.topic(PULSE, **raw)
        self.app.agent(self.pulses, name="reputation")(self._agent)
        self.app.timer(TICK_EVERY, name="tick")(self._tick)
        self.app.page("/reputation/")(self._page)

    def _app(self) -> faust.App:
        client = aiokafka(self.role.client)
        addresses = ";".join(f"aiokafka://{address}" for address in str(client["bootstrap_servers"]).split(","))
        credentials: Any = None
        if client["security_protocol"].startswith("SASL"):
            credentials = faust.SASLCredentials(
                mechanism=client["sasl_mechanism"],
                username=client["sasl_plain_username"],
                password=client["sasl_plain_password"],
                ssl_context=client.get("ssl_context"),
            )
        elif "ssl_context" in client:
            credentials = faust.SSLCredentials(client["ssl_context"])
        port = _web_port()
        return faust.App(
            APP,
            broker=[URL(address) for address in addresses.split(";")],
            broker_credentials=credentials,
            processing_guarantee="exactly_once",
            store="memory://",
            topic_disable_leader=True,
            topic_allow_declare=False,
            topic_partitions=self.config.topics.partitions,
            consumer_auto_offset_reset="earliest",
            broker_session_timeout=10.0,
            broker_heartbeat_interval=2.0,
            broker_request_timeout=30.0,
            broker_commit_interval=COMMIT_EVERY,
            stream_buffer_maxsize=512,
            datadir=tempfile.mkdtemp(prefix="earshot-reputation-"),
            web_enabled=port is not None,
            web_bind="127.0.0.1",
            web_host="127.0.0.1",
            web_port=port or 6066,
            loghandlers=[],
        )

    def rules(self, brand: str) -> AlertRules:
        """Return the alert rules of a brand: its own, else those of all."""
        return self.config.alerts.brands.get(brand, self.config.alerts)

    # ------------------------------------------------------------------------------------------- carrying

    async def _agent(self, stream: Any) -> None:
        async for event in stream.events():
            self.progress_at = time.monotonic()
            self.metrics.received.labels(STAGE).inc()
            try:
                self._carry(event.message)
                self.metrics.processed.labels(STAGE).inc()
            except InvalidMessageError as error:
                self._dead_letter(event.message, error.reason, str(error))
            except Exception as error:
                log.exception("reputation failed", stage=STAGE, offset=event.message.offset)
                self._dead_letter(event.message, Reason.FAILED, type(error).__name__)

    def _carry(self, message: Any) -> None:
        kind = codec.header(_headers(message), "ce_type")
        if kind == codec.TYPES[Tick]:
            self._time_passes(codec.decode(Tick, message.value), message)
        elif kind == codec.TYPES[Heartbeat]:
            self._pass_on(codec.decode(Heartbeat, message.value))
        else:
            self._count(codec.decode(Pulse, message.value), message)

    def _count(self, pulse: Pulse, message: Any) -> None:
        key = pulse.brand.encode()
        state = self.brands.get(key)
        if not fold.is_new(state, message.partition, message.offset):
            return
        late = state.late
        told = fold.pulse(state, pulse, self.rules(pulse.brand))
        if state.late > late:
            self.metrics.late.labels(pulse.brand).inc(state.late - late)
        self._store(key, state, told)

    def _time_passes(self, tick: Tick, message: Any) -> None:
        minute = int(tick.at.timestamp() // 60)
        for key in self.brands.of_partition(message.partition):
            state = self.brands.get(key)
            before = state.watermark
            if fold.is_new(state, message.partition, message.offset):
                told = fold.tick(state, minute, self.rules(state.brand))
                if told or state.watermark != before:
                    self._store(key, state, told)

    def _store(self, key: bytes, state: Brand, told: list[Alert]) -> None:
        for alert in told:
            self.alerts[f"{alert.brand}/{alert.fingerprint}".encode()] = codec.encode(alert)
            self.metrics.alerts.labels(alert.brand, alert.name, alert.status.value).inc()
            self.metrics.sent.labels(STAGE, ALERTS).inc()
            log.info(
                "alert", brand=alert.brand, alert=alert.name, status=alert.status.value, severity=alert.severity.value
            )
        self.brands.put(key, state)
        self._show(state)

    def _pass_on(self, beat: Heartbeat) -> None:
        now = datetime.now(UTC)
        passed = msgspec.structs.replace(beat, stage=STAGE, passed_at=now)
        self.heartbeats[f"heartbeat-{beat.partition}".encode()] = codec.encode(passed)
        self.metrics.heartbeat.labels(STAGE).set(now.timestamp())
        self.metrics.heartbeat_seconds.labels(STAGE).set((now - beat.sent_at).total_seconds())
        self.metrics.sent.labels(STAGE, HEARTBEATS).inc()

    def _dead_letter(self, message: Any, reason: Reason, error: str) -> None:
        headers: Any = dead_letters.mark(
            _headers(message),
            topic=PULSE,
            partition=message.partition,
            offset=message.offset,
            reason=reason.value,
            error=error,
            stage=STAGE,
            now=datetime.now(UTC),
        )
        self._producer.produce(DEAD, message.value, message.key, headers=headers)
        self._producer.flush(10)
        self.metrics.dead_letters.labels(STAGE, reason.value).inc()
        self.metrics.sent.labels(STAGE, DEAD).inc()

    def _show(self, state: Brand) -> None:
        rules = self.rules(state.brand)
        length = window(rules)
        counts = total(state.series["brand"], state.watermark - length + 1, state.watermark)
        normal = usual(state, "brand", rules, state.watermark - length)
        self.metrics.brand_mentions.labels(state.brand).set(counts[0])
        self.metrics.brand_baseline.labels(state.brand).set(normal.rate * length if normal else float("nan"))
        self.metrics.brand_negative.labels(state.brand).set(counts[1] / counts[0] if counts[0] else 0.0)
        self.metrics.brand_reach.labels(state.brand).set(counts[4])
        for severity in ("critical", "warning", "info"):
            firing = sum(incident.severity == severity for incident in state.incidents.values())
            self.metrics.incidents.labels(state.brand, severity).set(firing)

    # --------------------------------------------------------------------------------------------- time, web

    async def _tick(self) -> None:
        """Write the time to every partition of `pulse` that this worker has."""
        consumer = self.app.consumer
        for place in sorted(consumer.assignment()):
            if place.topic == PULSE:
                now = datetime.now(UTC)
                headers: Any = codec.headers(
                    Tick, event_id=f"{place.partition}-{now.timestamp():.0f}", source=SOURCE, at=now
                )
                tick = codec.encode(Tick(at=now, partition=place.partition))
                self._producer.produce(PULSE, tick, b"tick", place.partition, headers=headers)
                self.metrics.lag.labels(STAGE, PULSE).set(self._lag())
        self._producer.poll(0)

    def _lag(self) -> int:
        consumer: Any = self.app.consumer
        behind = 0
        for place in consumer.assignment():
            if place.topic == PULSE:
                with contextlib.suppress(Exception):
                    end = consumer.highwater(place)
                    read = consumer._read_offset.get(place)  # noqa: SLF001 - Faust has no public name for it
                    behind += max(0, (end or 0) - (read + 1 if read is not None else end or 0))
        return behind

    async def _page(self, view: Any, _: Any) -> Any:
        """Answer with the current windows as JSON."""
        shown = {}
        for partition in range(self.config.topics.partitions):
            for key in self.brands.of_partition(partition):
                state = self.brands.get(key)
                shown[state.brand] = windows(state, self.rules(state.brand))
        return view.json({"brands": shown})

    # -------------------------------------------------------------------------------------------- life

    async def run(self) -> None:
        """Work until the role is to stop. Raises StalledError or what ended Faust."""
        app, role = self.app, self.role
        app.finalize()
        loop = asyncio.get_running_loop()
        app.loop = loop
        await app.start()
        role.status.tell(name="reputation windows", address=f"http://127.0.0.1:{app.conf.web_port}/reputation/")
        role.health.ready("assigned", lambda: None if self._has_partitions() else "no partitions are assigned yet")
        try:
            while not role.stop.is_set():
                await asyncio.sleep(0.2)
                if app.crashed or app.should_stop:
                    reason = getattr(app, "crash_reason", None)
                    raise StalledError(f"Faust ended itself ({type(reason).__name__}): a new process goes on")
                if self._lag() == 0:
                    self.progress_at = time.monotonic()
                elif time.monotonic() - self.progress_at > STALLED:
                    raise StalledError(f"no progress for {STALLED:.0f} s while there is lag: a new process goes on")
        finally:
            with contextlib.suppress(asyncio.TimeoutError, Exception):
                await asyncio.wait_for(app.stop(), STOP_TIMEOUT)

    def _has_partitions(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self.app.consumer.assignment()) and not self.app.rebalancing
        return False


def windows(state: Brand, rules: AlertRules) -> dict[str, Any]:
    """Return the current window of each scope beside its baseline, and the open incidents, for a person."""
    length = window(rules)
    first = state.watermark - length + 1
    scopes = {}
    for scope, series in state.series.items():
        counts = total(series, first, state.watermark)
        normal = usual(state, scope, rules, state.watermark - length)
        scopes[scope] = {
            "mentions": int(counts[0]),
            "negative": int(counts[1]),
            "positive": int(counts[2]),
            "usually": round(normal.rate * length, 1) if normal else None,
        }
    incidents = {incident.name: incident.fingerprint for incident in state.incidents.values()}
    until = datetime.fromtimestamp((state.watermark + 1) * 60, UTC).isoformat()
    return {"until": until, "minutes": length, "counted": state.counted, "scopes": scopes, "incidents": incidents}


def _headers(message: Any) -> list[tuple[str, bytes | None]]:
    headers = message.headers or {}
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _web_port() -> int | None:
    """Return the port of Faust's web view: EARSHOT_FAUST_WEB (a number, or off), else a free one."""
    wanted = os.environ.get("EARSHOT_FAUST_WEB", "")
    if wanted == "off":
        return None
    if wanted.isdigit():
        return int(wanted)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(role: Role) -> None:
    """Run a worker until `role.stop`. Raises StalledError when a new process is needed."""
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    asyncio.run(Worker(role).run())
