"""Roles as processes of their own, as a cluster runs them, for measurements from outside."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.config.model import Config


@dataclass
class Worker:
    """One running role and its address."""

    process: subprocess.Popen[bytes]
    url: str

    def is_ready(self) -> bool:
        """Whether its /readyz answers 200."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2):  # noqa: S310 - loopback
            return True
        return False

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with these labels; 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:  # noqa: S310 - loopback
                text = answer.read().decode()
        except OSError:
            return 0.0
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def free_port() -> int:
    """Return a port of this machine that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until it is so. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


@contextlib.contextmanager
def running(
    role: str,
    settings: Config,
    client: Mapping[str, Any],
    count: int = 1,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sequence[Worker]]:
    """Yield `count` ready workers of a role; they end with the block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "earshot.yaml"
        file.write_text(yaml.safe_dump(json.loads(settings.model_dump_json(exclude_defaults=True)) | {"version": 1}))
        workers = []
        try:
            for number in range(count):
                port = free_port()
                command = [sys.executable, "-m", "pipeline", "run", role, "--config", str(file)]
                command += ["--broker", str(client["bootstrap.servers"]), "--instance", f"bench-{number}"]
                command += ["--http", f"127.0.0.1:{port}"]
                with (Path(folder) / f"{role}-{number}.log").open("wb") as log:
                    process = subprocess.Popen(  # noqa: S603 - our own program
                        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                    )
                workers.append(Worker(process, f"http://127.0.0.1:{port}"))
            for worker in workers:
                wait(worker.is_ready, 60, f"{role} does not get ready")
            yield workers
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                try:
                    worker.process.wait(20)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()
