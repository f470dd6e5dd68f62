"""The roles as processes: `earshot run ROLE`, restarted as `earshot up` does, some of them with a fail point on."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.contract.failpoints import NAMES
from pipeline.runtime.supervise.children import NO_RESTART, Child, role_command

ROLES = ("connectors", "triage", "reputation", "notify", "learning")
POINTS = {role: [name for name in NAMES if name.startswith(f"{role}.")] for role in ROLES}
# How often a point is reached differs by hundreds: each is to strike some seconds after its worker has started.
SHARES = {
    "connectors": 0.03,
    "triage": 0.02,
    "reputation": 0.3,
    "notify": 0.3,
    "learning": 0.3,
    "reputation.before_fold": 0.02,
    "notify.before_tell": 1.0,
    "notify.after_tell": 1.0,
}
TELLING = (
    "notify.before_tell=kill@0.4",
    "notify.after_tell=kill@0.4",
)  # notifications are few: somebody waits for them
STOP_LIMIT = 10.0  # seconds a role may take to end in order
ABSENCE = 0.4  # seconds; between two looks there is less


@dataclass
class Worker(Child):
    """A child whose command may have a fail point or a wrong clock before it."""

    before: list[str] = field(default_factory=list)  # env or faketime, for the next start
    plain: list[str] = field(default_factory=list)
    standing: Callable[[], list[str]] = list  # what a start has before it when nothing was said

    def start(self, now: float) -> None:
        """Start with what the next start is to have before it, and only this one."""
        self.command = [*(self.before or self.standing()), *self.plain]
        self.before = []
        super().start(now)

    def send(self, number: int) -> bool:
        """Send a signal; return whether there was somebody to get it."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    @property
    def is_running(self) -> bool:
        """Whether there is a process that is not stopped; where the system does not say, one is taken for running."""
        process = self.process
        if process is None or process.poll() is not None:
            return False
        try:
            state = Path(f"/proc/{process.pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return True
        return state != "T"


class Crew:
    """All workers. A context manager: a thread looks after them until the end. `hurts`: whether fail points are set."""

    def __init__(
        self, folder: Path, bootstrap: str, config: Path, counts: dict[str, int], seed: int, *, hurts: bool = True
    ) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.config = config
        self.workers: list[Worker] = []
        self.ended: Counter[str] = Counter()  # "role code", of ends nobody asked for
        self.stopped: list[tuple[str, float, int | None]] = []  # role, seconds it took to end, exit code
        self.failed: list[str] = []  # workers that are not restarted
        self.absent: list[tuple[str, float, float]] = []  # role, from when to when it had no running worker (monotonic)
        self._last: dict[str, float] = dict.fromkeys(ROLES, time.monotonic())  # when it had one
        self.is_healed = not hurts
        self._chance = random.Random(seed)
        self._points = {role: itertools.cycle(POINTS[role]) for role in ROLES}
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._end = threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        for role, count in counts.items():
            for _ in range(count):
                self.add(role)

    def add(self, role: str) -> Worker:
        """Let one more worker join."""
        number = next(self._numbers)
        command = role_command(role, bootstrap=self.bootstrap, config=self.config, instance=str(number))
        worker = Worker(role, number, command, self.folder / f"{role}-{number}.log", lambda *_: None)
        worker.plain = list(command)
        if role == "notify":
            worker.standing = self._telling
        with self._lock:
            worker.start(time.monotonic())
            self.workers.append(worker)
        return worker

    def _telling(self) -> list[str]:
        if self.is_healed or self._chance.random() < 0.5:
            return []
        return ["env", f"EARSHOT_FAILPOINTS={self._chance.choice(TELLING)}"]

    def of(self, role: str) -> list[Worker]:
        """Return the workers of a role."""
        return [worker for worker in self.workers if worker.role == role]

    def arm(self, worker: Worker, kind: str) -> str:
        """Give the next start of a worker its role's next fail point, and end it now. Return the point's name."""
        name = next(self._points[worker.role])
        share = SHARES.get(name, SHARES[worker.role])
        with self._lock:
            worker.before = ["env", f"EARSHOT_FAILPOINTS={name}={kind}@{share}"]
            worker.send(signal.SIGCONT)
            worker.send(signal.SIGKILL)
        return name

    def stop(self, worker: Worker) -> float:
        """Ask a worker to end, wait for it, and forget it; return the seconds it took."""
        with self._lock:
            self.workers.remove(worker)
        worker.send(signal.SIGCONT)
        began = time.monotonic()
        process = worker.process
        worker.terminate()
        worker.join(3 * STOP_LIMIT)
        took = time.monotonic() - began
        if process is not None:
            self.stopped.append((worker.role, round(took, 2), process.returncode))
        return took

    def roll(self, config: Path) -> None:
        """Replace every worker, one after the other, by one with another configuration."""
        self.config = config
        for worker in list(self.workers):
            if worker in self.workers:
                self.stop(worker)
                self.add(worker.role)

    def _look_after(self) -> None:
        while not self._end.wait(0.1):
            self._look_who_runs(time.monotonic())
            with self._lock:
                for worker in list(self.workers):
                    code = worker.check(time.monotonic())
                    if code is None:
                        continue
                    self.ended[f"{worker.role} {code}"] += 1
                    if code in NO_RESTART:
                        self.failed.append(f"{worker.name}: {worker.stopped}")

    def _look_who_runs(self, now: float) -> None:
        for role in ROLES:
            if any(worker.is_running for worker in self.of(role)):
                if now - self._last[role] > ABSENCE:
                    self.absent.append((role, self._last[role], now))
                self._last[role] = now

    def reached(self) -> Counter[str]:
        """Return how often each fail point did what it was told, by `name: kill` or `name: pause`."""
        found: Counter[str] = Counter()
        for log in self.folder.glob("*.log"):
            found.update(re.findall(r"^fail point (\S+: \w+)$", log.read_text("utf-8", "replace"), re.MULTILINE))
        return found

    def heal(self) -> None:
        """Let everybody go on, with no fail point any more."""
        with self._lock:
            self.is_healed = True
            for worker in self.workers:
                if worker.command[0] == "env":
                    worker.send(signal.SIGCONT)
                    worker.send(signal.SIGKILL)
                worker.send(signal.SIGCONT)

    def everything_said(self) -> dict[str, str]:
        """Return the logs by worker."""
        return {log.stem: log.read_text("utf-8", "replace") for log in sorted(self.folder.glob("*.log"))}

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look_after, name="crew", daemon=True)
        self._thread.start()
        return self

    def end_in_order(self) -> None:
        """Stop all roles in the order of a mention's way."""
        for role in ROLES:
            for worker in self.of(role):
                self.stop(worker)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)
        for worker in self.workers:
            worker.restart_at = None
            worker.send(signal.SIGKILL)
            worker.join(10)


def tell(command: list[str], **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run one earshot command to its end."""
    return subprocess.run(command, capture_output=True, check=False, timeout=120, env={**os.environ}, **more)
