"""`earshot up` as a user runs it: a process of its own, looked at over HTTP and on the topics."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.monitoring.real_prometheus import free_port

ROOT = Path(__file__).parents[1]


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.1) -> Any:
    """Return the first true answer; fail in words when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(every)
    return answer


def earshot(*arguments: str, given: bytes = b"", timeout: float = 120, **environment: str):
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        input=given,
        capture_output=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


class Up:
    """One `earshot up`, ready. `config` is the text of an earshot.yaml."""

    def __init__(self, folder: Path, config: str, *, more: Sequence[str] = (), seconds: float = 120) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "earshot.yaml"
        self.file.write_text(config, "utf-8")
        self.log = folder / "up.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "pipeline", "up", "--plain", "--config", str(self.file)]
        command += ["--http", self.url.removeprefix("http://"), "--data", str(folder / "data"), *more]
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        try:
            self.wait_until_ready(seconds)
        except BaseException:
            self.end()
            raise
        self.took = time.monotonic() - self.began

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Wait until a heartbeat has gone the whole way."""
        until(lambda: self.is_ready() or self._ended(), seconds, f"not ready: {self.said()[-3000:]}")
        assert self.process.poll() is None, self.said()[-3000:]

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def is_ready(self) -> bool:
        """Whether /readyz answers 200."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                return True
        except OSError:
            return False

    def said(self) -> str:
        """Return what it printed so far."""
        return self.log.read_text("utf-8", "replace")

    @property
    def bootstrap(self) -> str:
        """The address of its broker: the last one it printed, since the log of an earlier run stands before it."""
        found = re.findall(r"^kafka +(\S+)$", self.said(), re.MULTILINE)
        assert found, self.said()
        return str(found[-1])

    @property
    def client(self) -> dict[str, str]:
        """Client settings of its broker."""
        return {"bootstrap.servers": self.bootstrap}

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum over all workers of the samples with these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self, role: str) -> list[int]:
        """Return the process ids of the workers of a role."""
        return [pid for pid, command in processes(self.process.pid) if f"pipeline run {role} " in command]

    def java(self) -> int:
        """Return the process id of the broker's Java."""
        note = json.loads((self.folder / "data" / "kafka" / "kafka.json").read_text("utf-8"))
        return int(note["java"]["pid"])

    def stop(self, seconds: float = 60) -> str:
        """Ask it to end as Ctrl-C does; return its last line."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(seconds) == 0, self.said()[-3000:]
        return self.said().strip().splitlines()[-1]

    def end(self) -> None:
        """End it however it is."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def processes(parent: int) -> list[tuple[int, str]]:
    """Return process id and command line of the children of a process."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listed.splitlines())
    return [(int(row[0]), row[2]) for row in rows if len(row) == 3 and int(row[1]) == parent]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state = found.stdout.strip()
    return bool(state) and not state.startswith("Z")
