"""`earshot bench start`: how long the command line and the whole system take to start, and the memory of each role."""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.bench.workers import free_port, wait

CONFIG = "version: 1\nheartbeat_interval: 1s\nnotifiers:\n  log: {type: console}\n"


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - our own commands
    return time.perf_counter() - began


def _memory(parent: int) -> dict[str, float]:
    """Return the resident megabytes of a process and its descendants, by role."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,rss=,args="], capture_output=True, text=True, check=True)  # noqa: S607
    rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
    family = {parent}
    for _ in range(3):
        family |= {int(row[0]) for row in rows if int(row[1]) in family}
    found: dict[str, float] = {}
    for pid, _, kilobytes, command in rows:
        if int(pid) in family:
            words = command.split()
            role = words[words.index("run") + 1] if "run" in words else "kafka" if "kafka.Kafka" in words else "up"
            found[role] = found.get(role, 0.0) + int(kilobytes) / 1024
    return {role: round(size, 1) for role, size in sorted(found.items())}


def _is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 - loopback
        return True
    return False


def _up(folder: Path) -> tuple[float, dict[str, float], float]:
    """Start everything once; return seconds until it is ready, memory at rest, seconds until it has stopped."""
    file, url = folder / "earshot.yaml", f"http://127.0.0.1:{free_port()}"
    file.write_text(CONFIG, "utf-8")
    command = [sys.executable, "-m", "pipeline", "up", "--plain", "--config", str(file), "--data", str(folder / "data")]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--http", url.removeprefix("http://")], stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        wait(lambda: _is_ready(url), 120, "earshot up does not get ready")
        took = time.perf_counter() - began
        time.sleep(3)
        memory = _memory(process.pid)
        ending = time.perf_counter()
        process.send_signal(signal.SIGINT)
        process.wait(60)
        return took, memory, time.perf_counter() - ending
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return medians in seconds. The first start of `earshot up` makes its data and counts as cold, the others as warm."""
    helps = [_seconds([sys.executable, "-m", "pipeline", "--help"]) for _ in range(3 * rounds)]
    bare = [_seconds([sys.executable, "-c", "pass"]) for _ in range(3 * rounds)]
    with tempfile.TemporaryDirectory() as name:
        say("earshot up, cold")
        runs = [_up(Path(name))]
        for number in range(rounds):
            say(f"earshot up, warm, {number + 1} of {rounds}")
            runs.append(_up(Path(name)))
    return {
        "help_seconds": statistics.median(helps),
        "bare_python_seconds": statistics.median(bare),
        "up_ready_seconds": {"cold": runs[0][0], "warm": [run[0] for run in runs[1:]]},
        "up_stop_seconds": [run[2] for run in runs],
        "megabytes_at_rest": runs[-1][1],
    }
