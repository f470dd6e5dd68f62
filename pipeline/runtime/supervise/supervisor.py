"""Starts, watches and stops everything on this machine. Decisions about alerts, routes or texts are not here."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from pipeline.config.model import Config
from pipeline.contract import codec
from pipeline.contract.errors import BrokerUnavailableError, InvalidMessageError
from pipeline.contract.events import Alert, AlertStatus, JudgedMention
from pipeline.contract.metrics import Metrics
from pipeline.runtime.health import Health, Server, federate, page, serve
from pipeline.runtime.reading import Reader
from pipeline.runtime.supervise.accounts import Account
from pipeline.runtime.supervise.children import Child, role_command
from pipeline.runtime.supervise.screen import Screen, View
from pipeline.topology import ALERTS, DEPARTMENT

# In the order of a mention's way: started from the end, so that nothing waits; stopped from the beginning, so that
# what was heard still goes the whole way.
ROLES: Final = ("connectors", "triage", "reputation", "learning", "notify")
STOP_TIMEOUT: Final = 8.0  # seconds a role has to end in order
TICK: Final = 0.25

log = structlog.get_logger(__name__)


class Supervisor:
    """`run()` blocks until `stop()`; the broker is the caller's."""

    def __init__(
        self, config: Config, *, config_path: Path | None, client: Mapping[str, Any], folder: Path, screen: Screen
    ) -> None:
        self.config = config
        self.client = dict(client)
        self.bootstrap = str(client["bootstrap.servers"])
        self.screen = screen
        self.view = View()
        self.began = datetime.now(UTC)
        self.health = Health()
        self.children: list[Child] = []
        self._stop = threading.Event()
        self._last_account = Account()
        self._final: dict[str, str] = {}
        self._own = Metrics()
        for role in ROLES:
            self._own.restarts.labels(role)
        counts = {
            "connectors": config.up.connectors_workers,
            "triage": config.up.triage_workers,
            "reputation": config.up.reputation_workers,
            "learning": config.up.learning_workers,
            "notify": config.up.notify_workers,
        }
        folder.mkdir(parents=True, exist_ok=True)
        for role in ROLES:
            for number in range(counts[role]):
                command = role_command(role, bootstrap=self.bootstrap, config=config_path, instance=str(number))
                self.children.append(Child(role, number, command, folder / f"{role}-{number}.log", self._status))
        for name, source in config.sources.items():
            if source.enabled:
                self.view.sources[name] = {"type": source.type, "state": "starting", "reason": None, "mentions": 0}
        self.view.departments = dict.fromkeys((*config.departments, "review"), 0)
        self.health.ready("workers", self._workers_reason)
        self.health.ready("heartbeat", self._heartbeat_reason)

    def serve(self, host: str, port: int) -> Server:
        """Serve /healthz, /readyz and the roles' metrics together. Raises ConfigError when the port is in use."""
        return serve(host, port, self.health, self.metrics)

    def stop(self) -> None:
        """Ask `run()` to end in order."""
        self._stop.set()

    def run(self) -> Account:
        """Start all roles and look after them until `stop()`; return what was processed."""
        now = time.monotonic()
        for child in reversed(self.children):
            child.start(now)
        watching = threading.Thread(target=self._watch, name="screen", daemon=True)
        watching.start()
        reported = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            for child in self.children:
                self._look_after(child, now)
            if now - reported >= 1.0:
                reported = now
                self._account()
            self.view.workers = {child.name: self._state(child) for child in self.children}
            self.screen.update(self.view)
            self._stop.wait(TICK)
        return self._end()

    def _look_after(self, child: Child, now: float) -> None:
        code = child.check(now)
        if code is None:
            return
        if child.stopped:
            self.screen.say(f"{child.name} has stopped: {child.stopped}")
        else:
            self._own.restarts.labels(child.role).inc()
            self.screen.say(f"{child.name} ended with code {code}; it is started again. Its log: {child.log}")

    def _state(self, child: Child) -> str:
        if child.stopped:
            return "stopped"
        if child.process is None:
            return "restarting"
        again = f" (restarted {child.restarts}×)" if child.restarts else ""
        return ("running" if child.http else "starting") + again

    def _status(self, child: Child, facts: dict[str, Any]) -> None:
        """Take in one status line of a role."""
        name = facts.get("source")
        if name in self.view.sources:
            state, reason = str(facts.get("state", "?")), facts.get("reason")
            self.view.sources[name].update(state=state, reason=reason)
            self.health.source(name, state, reason)
        if "address" in facts:
            self.view.addresses[str(facts.get("name", child.name))] = str(facts["address"])

    def _account(self) -> None:
        account = Account()
        for text in self._expositions():
            account.add(text)
        self._last_account = account
        for name, count in account.published.items():
            if name in self.view.sources:
                self.view.sources[name]["mentions"] = int(count)
        for name in self.view.departments:
            self.view.departments[name] = int(account.routed.get(name, 0))
        reason = self._heartbeat_reason()
        self.view.is_ready = reason is None
        took = (datetime.now(UTC) - self.began).total_seconds()
        if self.view.note.startswith("starting"):
            self.view.note = f"ready after {took:.1f} s" if reason is None else "starting"

    def _expositions(self) -> Iterable[str]:
        for child in self.children:
            if child.http:
                try:
                    with urllib.request.urlopen(f"{child.http}/metrics", timeout=2) as answer:  # noqa: S310 - loopback
                        self._final[child.name] = answer.read().decode()
                except (OSError, urllib.error.URLError):
                    continue
                yield self._final[child.name]

    def metrics(self) -> bytes:
        """Return the metrics of all roles with the labels role and worker, and how many workers run."""
        running = Counter(child.role for child in self.children if child.process is not None)
        for role in ROLES:
            self._own.workers.labels(role).set(running[role])
        return federate(
            (
                ({"role": child.role, "worker": str(child.worker)}, f"{child.http}/metrics")
                for child in self.children
                if child.http
            ),
            page(self._own.registry),
        )

    def _workers_reason(self) -> str | None:
        down = [child.name for child in self.children if child.stopped or child.process is None]
        return f"not running: {', '.join(down)}" if down else None

    def _heartbeat_reason(self) -> str | None:
        seen = self._last_account.heartbeat.get("notify", 0.0)
        if seen >= self.began.timestamp():
            return None
        passed = [stage for stage, at in self._last_account.heartbeat.items() if at >= self.began.timestamp()]
        return f"no heartbeat has gone the whole way yet; it has passed: {', '.join(passed) or 'nothing'}"

    def _watch(self) -> None:
        """Show mentions and alerts as they arrive. Trouble here is shown as missing lines, never as a stop."""
        topics = {DEPARTMENT + name: name for name in self.view.departments}
        while not self._stop.is_set():
            try:
                with Reader(self.client, [*topics, ALERTS], "end") as reader:
                    while not self._stop.is_set():
                        for message in reader.read(200, 0.3):
                            self._show(message.topic(), topics.get(message.topic()), message.value())
            except BrokerUnavailableError as error:
                log.warning("screen lost the broker", error=str(error))
                self._stop.wait(2.0)

    def _show(self, topic: str, department: str | None, value: bytes | None) -> None:
        if value is None:
            return
        try:
            if department is not None:
                self.view.recent.append((department, codec.decode(JudgedMention, value)))
            elif topic == ALERTS:
                alert = codec.decode(Alert, value)
                word = "resolved" if alert.status is AlertStatus.RESOLVED else alert.severity.value
                self.view.alerts.append(
                    f"{alert.updated_at:%H:%M:%S} {word} {alert.name} {alert.brand}: {alert.summary}"
                )
        except InvalidMessageError as error:
            log.warning("unreadable record", topic=topic, error=str(error))

    def _end(self) -> Account:
        """Stop the roles in the order of a mention's way, each when the one before has ended."""
        self.view.note = "stopping"
        self.screen.update(self.view)
        self._account()
        for role in ROLES:
            workers = [child for child in self.children if child.role == role]
            for child in workers:
                child.terminate()
            deadline = time.monotonic() + STOP_TIMEOUT
            for child in workers:
                if not child.join(max(0.1, deadline - time.monotonic())):
                    self.screen.say(
                        f"{child.name} did not end in {STOP_TIMEOUT:.0f} s and was killed; nothing is lost by that"
                    )
            self._account_from_last_words(workers)
        account = Account()
        for text in self._final.values():
            account.add(text)
        return account

    def _account_from_last_words(self, workers: Iterable[Child]) -> None:
        """Take the exposition a role writes when it ends: it is newer than the last one asked for."""
        for child in workers:
            if child.last_metrics.exists():
                self._final[child.name] = child.last_metrics.read_text("utf-8")
