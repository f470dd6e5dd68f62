"""What is done to workers, brokers and the network, from a seed.

Two moods take turns. In one only workers suffer, so that what comes of their death can be measured; in the other the
brokers and the network do as well, one such fault at a time. A fault that cannot be had on this machine is left out,
with the reason.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.broker.client import quiet
from pipeline.topology import COVERAGE
from tests.chaos.cluster import Broker, Cluster
from tests.chaos.workers import ROLES, Crew, Worker, tell

MOOD = 60.0  # seconds until the mood changes
SESSION = 6.0  # seconds, the workers' session timeout: pauses are longer
WORKER_FAULTS = {
    "kill": 6,
    "pause": 4,
    "fail point: kill": 7,
    "fail point: pause": 2,
    "join and leave": 2,
    "rolling restart with another configuration": 0.5,
    "clock step": 1,
    "topic deleted": 0.7,
}
BROKER_FAULTS = {
    "connections reset": 4,
    "delays": 3,
    "network cut": 2,
    "broker killed": 2,
    "broker paused": 2,
    "leaders moved": 3,
    "disk full": 1,
}


@dataclass
class Fault:
    """One thing that was done. Times are of the monotonic clock."""

    kind: str
    target: str
    at: float
    until: float = 0.0


@dataclass
class Surroundings:
    """What faults may touch besides workers and brokers."""

    folder: Path
    configs: list[Path]
    disks: dict[int, Path] = field(default_factory=dict)  # a small file system of a broker, by its number


class Faults:
    """Does one fault after the other. `done` is what was done, `skipped` what cannot be done here and why."""

    def __init__(
        self, crew: Crew, cluster: Cluster, around: Surroundings, seed: int, only: tuple[str, ...] = ()
    ) -> None:
        self.crew = crew
        self.cluster = cluster
        self.around = around
        self.done: list[Fault] = []
        self.skipped: dict[str, str] = {}
        self.only = only
        self.errors: list[str] = []
        self._chance = random.Random(seed)
        self._began = time.monotonic()
        self._threads: list[threading.Thread] = []
        self._on_brokers = threading.Lock()  # one at a time
        self._on_crew = threading.Lock()
        self._config = 0
        self._faketime = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
        if self._faketime is None:
            self.skipped["clock step"] = "faketime is not installed (Debian package faketime)"
        if not around.disks:
            self.skipped["disk full"] = "only root can mount a small file system"
        if cluster.size < 3:
            self.skipped["leaders moved"] = "there is one broker only"

    @property
    def on_workers_only(self) -> bool:
        """Whether brokers and network are left alone at the moment."""
        return int((time.monotonic() - self._began) / MOOD) % 2 == 0

    def next(self) -> None:
        """Do one more."""
        kinds = dict(WORKER_FAULTS)
        if (self.only or not self.on_workers_only) and not self._on_brokers.locked():
            kinds |= BROKER_FAULTS
        if self.only:
            kinds = {kind: weight for kind, weight in kinds.items() if kind in self.only}
        kinds = {kind: weight for kind, weight in kinds.items() if kind not in self.skipped}
        if self._on_crew.locked():
            kinds.pop("rolling restart with another configuration", None)
            kinds.pop("join and leave", None)
        if not kinds:
            return
        kind = self._chance.choices(list(kinds), list(kinds.values()))[0]
        do, lock = self._what(kind)
        fault = Fault(kind, "", time.monotonic())
        self.done.append(fault)
        thread = threading.Thread(target=self._carry_out, args=(fault, do, lock), name=kind, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _what(self, kind: str) -> tuple[Callable[[Fault], None], contextlib.AbstractContextManager[object]]:
        chance = random.Random(self._chance.random())
        free: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        table: dict[str, tuple[Callable[[Fault], None], contextlib.AbstractContextManager[object]]] = {
            "kill": (lambda f: self._kill(f, self._worker(chance)), free),
            "pause": (lambda f: self._pause(f, self._worker(chance), SESSION + chance.uniform(2, 8)), free),
            "fail point: kill": (lambda f: self._arm(f, self._worker(chance), "kill"), free),
            "fail point: pause": (
                lambda f: self._arm(f, self._worker(chance), f"pause:{SESSION + chance.uniform(2, 6):.1f}"),
                free,
            ),
            "join and leave": (lambda f: self._come_and_go(f, chance), self._on_crew),
            "rolling restart with another configuration": (self._roll, self._on_crew),
            "clock step": (lambda f: self._step(f, self._worker(chance), chance.choice((-3600, -90, 90, 3600))), free),
            "topic deleted": (self._delete_topic, free),
            "connections reset": (lambda f: self._reset(f, self._broker(chance)), self._on_brokers),
            "delays": (lambda f: self._delay(f, chance), self._on_brokers),
            "network cut": (lambda f: self._cut(f, self._broker(chance), chance.uniform(1, 6)), self._on_brokers),
            "broker killed": (lambda f: self._kill_broker(f, self._broker(chance), chance), self._on_brokers),
            "broker paused": (
                lambda f: self._pause_broker(f, self._broker(chance), chance.uniform(2, 10)),
                self._on_brokers,
            ),
            "leaders moved": (lambda f: self._move(f, self._broker(chance)), self._on_brokers),
            "disk full": (lambda f: self._fill(f, self._broker(chance)), self._on_brokers),
        }
        return table[kind]

    def _carry_out(
        self, fault: Fault, do: Callable[[Fault], None], lock: contextlib.AbstractContextManager[object]
    ) -> None:
        with lock:
            fault.at = time.monotonic()
            try:
                do(fault)
            except Exception as error:
                self.errors.append(f"{fault.kind} {fault.target}: {type(error).__name__}: {error}")
            fault.until = time.monotonic()

    def _worker(self, chance: random.Random) -> Worker:
        return chance.choice(self.crew.of(chance.choice(ROLES)))

    def _broker(self, chance: random.Random) -> Broker:
        return chance.choice(self.cluster.brokers)

    # ---------------------------------------------------------------------------------------------- workers

    def _kill(self, fault: Fault, worker: Worker) -> None:
        fault.target = worker.role
        worker.send(signal.SIGCONT)
        worker.send(signal.SIGKILL)

    def _pause(self, fault: Fault, worker: Worker, seconds: float) -> None:
        fault.target = worker.role
        process = worker.process
        if process is None or process.poll() is not None:
            fault.target += " (was starting)"
            return
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)

    def _arm(self, fault: Fault, worker: Worker, kind: str) -> None:
        fault.target = self.crew.arm(worker, kind)

    def _come_and_go(self, fault: Fault, chance: random.Random) -> None:
        role = chance.choice(ROLES)
        fault.target = role
        extra = self.crew.add(role)
        time.sleep(chance.uniform(3, 8))
        self.crew.stop(chance.choice([extra, *self.crew.of(role)]))

    def _roll(self, fault: Fault) -> None:
        self._config = (self._config + 1) % len(self.around.configs)
        fault.target = self.around.configs[self._config].name
        self.crew.roll(self.around.configs[self._config])

    def _step(self, fault: Fault, worker: Worker, seconds: int) -> None:
        """Give a worker a wrong clock for a while; its monotonic clock goes on as it should."""
        fault.target = f"{worker.role} {seconds:+d} s"
        # The library itself, not the command: that one would stay between us and the worker.
        fake = [f"LD_PRELOAD={self._faketime}", "FAKETIME_DONT_FAKE_MONOTONIC=1", f"FAKETIME={seconds:+d}s"]
        worker.before = ["env", *fake]
        worker.send(signal.SIGCONT)
        worker.send(signal.SIGKILL)
        time.sleep(20)
        worker.send(signal.SIGKILL)  # the next start has the right one

    def _delete_topic(self, fault: Fault) -> None:
        fault.target = COVERAGE
        kafka = AdminClient(quiet(self.cluster.client))
        kafka.delete_topics([COVERAGE], operation_timeout=20)[COVERAGE].result(30)
        time.sleep(1)
        made = tell(
            [
                *(sys.executable, "-m", "pipeline", "topics", "apply", "--config", str(self.crew.config)),
                *("--broker", self.cluster.client["bootstrap.servers"]),
            ]
        )
        if made.returncode:
            raise RuntimeError(made.stderr.decode("utf-8", "replace")[-300:])

    # ---------------------------------------------------------------------------------------- brokers, network

    def _reset(self, fault: Fault, broker: Broker) -> None:
        fault.target = f"broker {broker.node}"
        for _ in range(5):
            broker.proxy.reset(0.5)
            time.sleep(0.5)

    def _delay(self, fault: Fault, chance: random.Random) -> None:
        seconds = chance.choice((0.2, 0.5, 1.0, 2.0, 5.0))
        broker = self._broker(chance)
        fault.target = f"broker {broker.node}, {seconds} s"
        broker.proxy.delay = seconds
        time.sleep(chance.uniform(4, 10))
        broker.proxy.delay = 0.0

    def _cut(self, fault: Fault, broker: Broker, seconds: float) -> None:
        fault.target = f"broker {broker.node}, {seconds:.1f} s"
        broker.proxy.cut(on=True)
        time.sleep(seconds)
        broker.proxy.cut(on=False)

    def _kill_broker(self, fault: Fault, broker: Broker, chance: random.Random) -> None:
        fault.target = f"broker {broker.node}"
        self.cluster.kill(broker)
        time.sleep(chance.uniform(0.5, 4))
        self.cluster.restart(broker)
        self.cluster.wait_until_answers()

    def _pause_broker(self, fault: Fault, broker: Broker, seconds: float) -> None:
        fault.target = f"broker {broker.node}, {seconds:.1f} s"
        self.cluster.pause(broker, seconds)

    def _move(self, fault: Fault, broker: Broker) -> None:
        """Let a broker end in order: its leaders move away; then they move back."""
        fault.target = f"broker {broker.node}"
        broker.send(signal.SIGTERM)
        if broker.process is not None:
            try:
                broker.process.wait(30)
            except subprocess.TimeoutExpired:
                self.cluster.kill(broker)
        self.cluster.restart(broker)
        self.cluster.wait_until_answers()
        with contextlib.suppress(KafkaException):
            kafka = AdminClient(quiet(self.cluster.client))
            kafka.elect_leaders(ElectionType.PREFERRED).result(30)

    def _fill(self, fault: Fault, broker: Broker) -> None:
        fault.target = f"broker {broker.node}"
        disk = self.around.disks[broker.node]
        filler = disk / "filler"
        deadline = time.monotonic() + 15
        try:
            with filler.open("wb") as file:
                while broker.process is not None and broker.process.poll() is None and time.monotonic() < deadline:
                    free = shutil.disk_usage(disk).free
                    with contextlib.suppress(OSError):  # the broker writes too
                        os.posix_fallocate(file.fileno(), file.tell(), max(1, free))
                        file.seek(0, os.SEEK_END)
                    time.sleep(0.05)
            died = broker.process is not None and broker.process.poll() is not None
            fault.target += ", it ended" if died else ", it did not end"
        finally:
            filler.unlink()
        self.cluster.restart(broker)
        self.cluster.wait_until_answers()

    # ------------------------------------------------------------------------------------------------- end

    def finish(self) -> None:
        """Wait for what is still going on, then put everything right."""
        for thread in self._threads:
            thread.join(150)
        for broker in self.cluster.brokers:
            broker.proxy.delay = 0.0
            broker.proxy.cut(on=False)
            broker.send(signal.SIGCONT)
            self.cluster.restart(broker)
        self.cluster.wait_until_answers()
        self.crew.heal()

    def counts(self) -> Counter[str]:
        """Return how many there were of each kind; of fail points, those that were reached."""
        found = Counter(fault.kind for fault in self.done if not fault.kind.startswith("fail point"))
        for name, count in self.crew.reached().items():
            found[f"fail point: {name.rpartition(': ')[2]}"] += count
        # A fail point is armed by a kill, and a clock is stepped by one.
        found["kill"] += sum(fault.kind.startswith("fail point") for fault in self.done)
        return found
