"""A real Prometheus on loopback, for tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.monitoring.promql import RULES

T = TypeVar("T")


def tool(name: str, package: str) -> str:
    """Return the path of a program; skip the test where it is absent, except in CI, which installs it."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is absent although this is CI; .ci/run installs the Debian package {package}")
        pytest.skip(f"{name} is absent; it comes with the Debian package {package}")
    return path


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def eventually(ask: Callable[[], T | None], *, within: float, every: float = 0.2) -> T | None:
    """Return the first answer that is not None, or None when there was none in time (seconds)."""
    deadline = time.monotonic() + within
    while (answer := ask()) is None and time.monotonic() < deadline:
        time.sleep(every)
    return answer


class Prometheus:
    """One Prometheus that scrapes one address every second, with our rules."""

    def __init__(self, folder: Path, metrics_url: str) -> None:
        target = urllib.parse.urlsplit(metrics_url)
        config = {
            "global": {
                "scrape_interval": "1s",
                "evaluation_interval": "1s",
                "external_labels": {"runbook": "deploy/runbook.md"},
            },
            "rule_files": [str(RULES / "*.yml")],
            "scrape_configs": [
                {"job_name": "earshot", "metrics_path": target.path, "static_configs": [{"targets": [target.netloc]}]}
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    tool("prometheus", "prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )
        if not eventually(self._ready, within=60):
            self.close()
            pytest.fail("Prometheus did not start: " + self.log.read_text("utf-8", "replace")[-2000:])

    def _ready(self) -> bool | None:
        if self.process.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                return True
        except OSError:
            return None

    def ask(self, path: str, **parameters: str) -> Any:
        """Return `data` of one answer of the HTTP API; an error of PromQL fails the test."""
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                pytest.fail(f"{parameters}: {error.read().decode()}")

    def values(self, expression: str) -> list[float]:
        """Return the values of an instant query, without those that are not numbers."""
        found = self.ask("query", query=expression)["result"]
        return [value for series in found if (value := float(series["value"][1])) == value]

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def readable(url: str) -> bool | None:
    """Return True when the address answers 200, else None."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return None
