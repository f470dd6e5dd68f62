"""Embedded Apache Kafka: one node (KRaft), data on disk that survives restarts, stopped with its starter.

Nothing of it listens beyond 127.0.0.1. Several instances with different folders can run side by side. Delivery
promises are Kafka's own; with one node there is one copy of the data, so back up the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console

from pipeline.broker import jars, java, settings, watcher
from pipeline.broker.client import quiet
from pipeline.broker.process import Process
from pipeline.contract.errors import BrokerUnavailableError, ConfigError

HOST: Final = "127.0.0.1"
START_TIMEOUT: Final = 90.0
STOP_TIMEOUT: Final = 25.0
PORT: Final = 9092  # Kafka's own; another free one when it is taken
HEAP: Final = "512m"
_NOTE: Final = "kafka.json"  # who runs the broker of this folder; believed only while the folder is locked
_SAYS_NOTHING: Final = (  # lines of Java beside the reason
    "SLF4J",
    "sun.misc.Unsafe",
    "Could not create the Java Virtual Machine",
    "A fatal exception has occurred",
    "Error occurred during initialization of VM",
)
_PROCESSES: Final = ("java", "owner", "watcher")

ATTEMPTS: Final = 3  # other ports are tried when somebody takes ours between looking and starting


@dataclass(frozen=True, slots=True)
class Running:
    """A broker that uses a folder at this moment."""

    bootstrap: str
    java: Process
    owner: Process
    watcher: Process

    def end(self) -> None:
        """Stop a broker that was left over: in order if it can, else at once; its data stand a kill."""
        for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            self.java.send(number)
            deadline = time.monotonic() + seconds
            while self.java.is_alive and time.monotonic() < deadline:
                time.sleep(0.05)
        self.watcher.send(signal.SIGKILL)

    @property
    def is_left_over(self) -> bool:
        """Whether whoever started it is gone."""
        return not self.owner.is_alive


class _PortTakenError(Exception):
    """Somebody took one of our ports after we had found it free."""


def running(folder: Path) -> Running | None:
    """Return the broker that uses this folder now, None when there is none. A stale note of a dead one is not believed."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads((folder / _NOTE).read_text("utf-8"))
        found = (Process(int(note[who]["pid"]), str(note[who]["started"])) for who in _PROCESSES)
        return Running(str(note["bootstrap"]), *found)
    return None


class EmbeddedKafka:
    """One broker. `folder` keeps its data, settings and log; `port` None prefers 9092 and takes a free one else."""

    def __init__(
        self, folder: Path, *, port: int | None = None, console: Console | None = None, heap: str = HEAP
    ) -> None:
        self.folder = folder.resolve()
        self.bootstrap = ""
        self._wanted = port
        self._console = console
        self._heap = os.environ.get("EARSHOT_KAFKA_HEAP", heap)
        self._watcher: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the broker answers. Raises ConfigError (port, folder in use) or BrokerUnavailableError."""
        command = [str(java.find()), *settings.flags(self._heap), "-cp", jars.classpath(jars.ensure(self._console))]
        try:
            (self.folder / "log").mkdir(parents=True, exist_ok=True)
            self._lock = self._take()
            (self.folder / _NOTE).unlink(missing_ok=True)  # what it says is of an earlier broker
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._start_on(*self._ports(), command)
                    break
                except _PortTakenError:
                    self._end_watcher()
                    if attempt == ATTEMPTS:
                        raise ConfigError(
                            f"other programs took the ports on {HOST} that Kafka was to use, {ATTEMPTS} times. Start "
                            "again, or say a port nobody uses with EARSHOT_KAFKA_PORT"
                        ) from None
        except OSError as error:
            self.stop()
            raise BrokerUnavailableError(
                f"cannot write Kafka's data to {self.folder}: {error.strerror or error}. Free some space, or choose "
                "another folder with --data"
            ) from None
        except BaseException:
            self.stop()
            raise

    def _take(self) -> IO[bytes]:
        """Take the folder for us alone; stop a broker that its starter left behind."""
        deadline = time.monotonic() + STOP_TIMEOUT
        while True:
            lock = (self.folder / "lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                other = running(self.folder)
                if other is not None and not other.is_left_over:
                    raise ConfigError(
                        f"a broker runs in {self.folder} already (process {other.java.pid}, started by {other.owner.pid}, at "
                        f"{other.bootstrap}). Stop that earshot, choose another folder with --data, or use its broker "
                        f"with --broker {other.bootstrap}"
                    ) from None
                if other is not None:
                    other.end()
                if time.monotonic() > deadline:
                    raise BrokerUnavailableError(
                        f"{self.folder} is locked by a process that does not end. Look for a left-over java and end it"
                    ) from None
                time.sleep(0.2)
            else:
                return lock

    def _ports(self) -> tuple[int, int]:
        if self._wanted and not _is_free(self._wanted):
            raise ConfigError(
                f"port {self._wanted} on {HOST} is in use, perhaps by another Kafka. End that program, or say another "
                "port with EARSHOT_KAFKA_PORT, or use that Kafka with --broker"
            )
        port = self._wanted or (PORT if _is_free(PORT) else _free())
        return port, _free(port)

    def _start_on(self, port: int, controller: int, command: list[str]) -> None:
        talkative = os.environ.get("EARSHOT_LOG", "").lower() == "debug"
        settings.write(self.folder, host=HOST, port=port, controller=controller, talkative=talkative)
        if settings.cluster_id(self.folder) is None:
            self._format(command)
        try:
            self._run([*command, "kafka.Kafka", settings.SETTINGS], f"{HOST}:{port}")
        except BrokerUnavailableError:
            if _is_free(port) and _is_free(controller):
                raise
            raise _PortTakenError from None

    def _format(self, command: list[str]) -> None:
        options = ["format", "--ignore-formatted", "-t", settings.new_cluster_id(), "-c", settings.SETTINGS]
        try:
            done = subprocess.run(  # noqa: S603
                [*command, "kafka.tools.StorageTool", *options],
                cwd=self.folder,
                env=_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=START_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BrokerUnavailableError(
                f"Kafka did not prepare {self.folder} in {START_TIMEOUT:.0f} s. Is the machine very busy? Start again"
            ) from None
        if done.returncode:
            raise BrokerUnavailableError(
                f"Kafka could not prepare {self.folder}: {_reason(done.stderr, done.stdout) or 'it said nothing'}"
            )

    def _run(self, command: list[str], bootstrap: str) -> None:
        assert self._lock is not None
        output, log = self.folder / "log" / "kafka.out", self.folder / settings.LOG
        said_before = log.stat().st_size if log.exists() else 0
        with output.open("wb") as words:
            self._watcher = subprocess.Popen(  # noqa: S603
                # By its path, isolated: it needs nothing of ours and may start in any folder.
                [sys.executable, "-IS", watcher.__file__, str(self._lock.fileno()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                pass_fds=(self._lock.fileno(),),
                start_new_session=True,  # Ctrl-C is for the supervisor
                cwd=self.folder,
                env=_environment(),
            )
        assert self._watcher.stdout is not None
        pid = int(self._watcher.stdout.readline() or 0)
        self._note(bootstrap, java=pid, owner=os.getpid(), watcher=self._watcher.pid)
        cluster = settings.cluster_id(self.folder)
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(bootstrap, cluster):
            if self._watcher.poll() is not None or not pid:
                reason = _reason(_since(log, said_before), output.read_text("utf-8", "replace"))
                raise BrokerUnavailableError(
                    f"Kafka ended while starting: {reason or 'it said nothing'}. More is in {self.folder / 'log'}"
                )
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"Kafka did not answer in {START_TIMEOUT:.0f} s; see {self.folder / 'log'}"
                )
            time.sleep(0.05)
        self.bootstrap = bootstrap

    def _note(self, bootstrap: str, **pids: int) -> None:
        processes = {who: Process.of(pid) for who, pid in pids.items()}
        note = {who: asdict(process) for who, process in processes.items() if process}
        (self.folder / _NOTE).write_text(json.dumps({"bootstrap": bootstrap, **note}), "utf-8")

    @property
    def pid(self) -> int | None:
        """The Java process, None when it does not run."""
        found = running(self.folder) if self._watcher else None
        return found.java.pid if found else None

    def stop(self) -> None:
        """Stop the broker in order; what is committed is on disk. May be called twice."""
        if self._watcher is not None:
            self._end_watcher()
            (self.folder / _NOTE).unlink(missing_ok=True)
        self.bootstrap = ""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_watcher(self) -> None:
        if self._watcher is None:
            return
        if self._watcher.stdin:
            self._watcher.stdin.close()
        try:
            self._watcher.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.wait()
        if self._watcher.stdout:
            self._watcher.stdout.close()
        self._watcher = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(bootstrap: str, cluster: str | None = None, timeout: float = 5.0) -> bool:
    """Return whether a broker there gives metadata: it does so only when it can take topics and messages.

    With `cluster`, a broker of another cluster, which took the port before ours could, does not count.
    """
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 0.5).close()  # asked first: librdkafka would try for long
        found = AdminClient(quiet({"bootstrap.servers": bootstrap})).list_topics(timeout=timeout)
    except (OSError, KafkaException):
        return False
    brokers: dict[int, Any] = found.brokers
    return bool(brokers) and cluster in (None, found.cluster_id)


def _environment() -> dict[str, str]:
    """Return the environment for Java: file names may hold any letter, whatever language the user's shell speaks."""
    return {**os.environ, "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"}


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free(other_than: int = 0) -> int:
    """Return a free port. Taken at random below the range of outgoing connections, so that none grabs it meanwhile."""
    for _ in range(200):
        port = 20_000 + int.from_bytes(os.urandom(2)) % 12_000
        if port != other_than and _is_free(port):
            return port
    raise ConfigError("no free port between 20000 and 32000 was found on 127.0.0.1")


def _since(log: Path, size: int) -> str:
    """Return what was added to a log that had this many bytes; all of it when it was begun anew meanwhile."""
    try:
        words = log.read_bytes()
    except OSError:
        return ""
    return words[size if size <= len(words) else 0 :].decode("utf-8", "replace")


def _reason(*texts: str) -> str:
    """Return the line that tells best why Java ended: the innermost cause, what was raised, an error, the last words."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not any(words in line for words in _SAYS_NOTHING)]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    raised = [line for line in lines if re.match(r"(Exception in thread \S+ )?[\w.$]+(Exception|Error): ", line)]
    errors = [line for line in lines if "rror" in line]
    best = causes[-1:] or raised[-1:] or errors[:1] or lines[-1:]
    return best[0][:300].rstrip(".") if best else ""
