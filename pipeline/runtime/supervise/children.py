"""Child processes of `earshot up`: started, watched, restarted with backoff, stopped in order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipeline.contract.errors import ConfigError
from pipeline.runtime.status import LAST_METRICS, STATUS_FD, SUPERVISED

# Exit codes of `earshot run`: after these a restart cannot help until a person has changed something.
EXIT_CONFIG: Final = 2
EXIT_LIMIT: Final = 4
NO_RESTART: Final = frozenset({EXIT_CONFIG, EXIT_LIMIT})

BACKOFF: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds before the n-th restart in a row
STEADY: Final = 10.0  # seconds; who ran for this long was no crash loop: the next restart is quick again


MAX_LOG: Final = 20_000_000  # bytes; a larger log makes way, and the one before it goes


def log_file(path: Path) -> Path:
    """Return the path, with its folder there and a log that has grown too large moved aside."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_LOG:
            path.replace(path.with_suffix(".old.log"))
        path.open("ab").close()
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}. Free some space or choose another folder with --data"
        ) from None
    return path


def backoff(restarts: int) -> float:
    """Return the seconds to wait before the restart that follows `restarts` earlier ones."""
    return BACKOFF[min(restarts, len(BACKOFF) - 1)]


@dataclass
class Child:
    """One worker of one role."""

    role: str
    worker: int
    command: Sequence[str]
    log: Path
    on_status: Callable[[Child, dict[str, Any]], None]
    process: subprocess.Popen[bytes] | None = None
    http: str | None = None  # base address of its health server, once it has said so
    restarts: int = 0
    in_a_row: int = 0
    started_at: float = 0.0
    restart_at: float | None = None
    stopped: str | None = None  # why it is not restarted

    @property
    def name(self) -> str:
        """`role-number`, as logs and the screen show it."""
        return f"{self.role}-{self.worker}"

    @property
    def last_metrics(self) -> Path:
        """Where the worker leaves its metrics when it ends in order."""
        return self.log.with_suffix(".metrics")

    def start(self, now: float) -> None:
        """Start the process; its output goes to the log file, its status lines come back through a pipe."""
        self.http, self.restart_at, self.started_at = None, None, now
        self.last_metrics.unlink(missing_ok=True)
        reading, writing = os.pipe()
        with log_file(self.log).open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                self.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    STATUS_FD: str(writing),
                    SUPERVISED: "1",
                    LAST_METRICS: str(self.last_metrics),
                },
                pass_fds=(writing,),
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops roles in order
            )
        os.close(writing)
        threading.Thread(target=self._listen, args=(reading,), name=f"status-{self.name}", daemon=True).start()

    def _listen(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    facts = json.loads(line)
                    if "http" in facts:
                        self.http = facts["http"]
                    self.on_status(self, facts)

    def check(self, now: float) -> int | None:
        """Look after the process once: plan and do restarts. Return the exit code when it has just ended."""
        if self.process is None:
            if self.restart_at is not None and now >= self.restart_at:
                self.restarts += 1
                self.start(now)
            return None
        code = self.process.poll()
        if code is None:
            if self.in_a_row and now - self.started_at > STEADY:
                self.in_a_row = 0
            return None
        self._close()
        self.process, self.http = None, None
        if code in NO_RESTART:
            self.stopped = self.last_words() or f"ended with exit code {code}"
        else:
            self.restart_at = now + backoff(self.in_a_row)
            self.in_a_row += 1
        return code

    def last_words(self) -> str:
        """Return the last line that the worker wrote to its log that speaks to a person."""
        try:
            tail = self.log.read_bytes()[-8000:].decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        return next((line[9:] for line in reversed(tail) if line.startswith("earshot: ")), "")

    def terminate(self) -> None:
        """Ask the process to end in order."""
        self.restart_at = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def join(self, timeout: float) -> bool:
        """Wait for the end; after `timeout` seconds kill it. Return whether it ended by itself."""
        if not self.process:
            return True
        try:
            self.process.wait(timeout)
            ended = True
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            ended = False
        self._close()
        self.process = None
        return ended

    def _close(self) -> None:
        if self.process and self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()


def role_command(role: str, *, bootstrap: str, config: Path | None, instance: str) -> list[str]:
    """Return the command line that runs one role with a health server on a free port."""
    command = [sys.executable, "-m", "pipeline", "run", role, "--broker", bootstrap, "--instance", instance]
    command += ["--http", "127.0.0.1:0"]
    return [*command, "--config", str(config)] if config else command
