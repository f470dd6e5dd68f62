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
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from rich.console import Console

from pipeline.broker import jars, java
from pipeline.broker.client import quiet
from pipeline.contract.errors import BrokerUnavailableError, ConfigError

HOST: Final = "127.0.0.1"
START_TIMEOUT: Final = 90.0
STOP_TIMEOUT: Final = 25.0
PORT: Final = 9092  # Kafka's own; another free one when it is taken
HEAP: Final = "512m"

_SETTINGS: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
# One node holds the only copy.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Few of these make a small broker start and restart quickly.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=3000000
replica.fetch.max.bytes=3000000
log.segment.bytes=268435456
# What a dead worker left open is aborted soon: looked for every second, not every ten.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
"""

_LOGGING: Final = """\
handlers=java.util.logging.FileHandler
.level={level}
java.util.logging.FileHandler.pattern={pattern}
java.util.logging.FileHandler.limit=10000000
java.util.logging.FileHandler.count=3
java.util.logging.FileHandler.append=true
java.util.logging.FileHandler.formatter=java.util.logging.SimpleFormatter
java.util.logging.SimpleFormatter.format=%1$tFT%1$tT.%1$tL %4$s %3$s %5$s%6$s%n
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A broker that uses a folder at this moment."""

    bootstrap: str
    java: int
    owner: int
    watcher: int

    def end(self) -> None:
        """Stop a broker that was left over: in order if it can, else at once; its data stand a kill."""
        for number, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.java, number)
            deadline = time.monotonic() + seconds
            while _is_alive(self.java) and time.monotonic() < deadline:
                time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.watcher, signal.SIGKILL)

    @property
    def is_left_over(self) -> bool:
        """Whether whoever started it is gone."""
        return not _is_alive(self.owner)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    state = Path(f"/proc/{pid}/stat")  # a zombie has ended and only waits to be looked at
    return not state.exists() or state.read_text("utf-8", "replace").rpartition(") ")[2][:1] != "Z"


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
        note = json.loads((folder / "kafka.json").read_text("utf-8"))
        return Running(str(note["bootstrap"]), int(note["java"]), int(note["owner"]), int(note["watcher"]))
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
        runtime = java.find()
        library = jars.ensure(self._console)
        try:
            (self.folder / "log").mkdir(parents=True, exist_ok=True)
            self._lock = self._take()
            port, controller = self._ports()
            settings = self._write_settings(port, controller)
            command = [str(runtime), *self._flags(), "-cp", f"{library}/*"]
            if not (self.folder / "data" / "meta.properties").exists():
                self._format(command, settings)
            self._run([*command, "kafka.Kafka", str(settings)], f"{HOST}:{port}")
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
                        f"a broker runs in {self.folder} already (process {other.java}, started by {other.owner}, at "
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

    def _write_settings(self, port: int, controller: int) -> Path:
        values = {"host": HOST, "port": port, "controller": controller, "data": self.folder / "data"}
        settings = self.folder / "server.properties"
        settings.write_text(_SETTINGS.format(**values), "utf-8")
        level = "INFO" if os.environ.get("EARSHOT_LOG", "").lower() == "debug" else "WARNING"
        logging = _LOGGING.format(level=level, pattern=self.folder / "log" / "kafka.%g.log")
        (self.folder / "logging.properties").write_text(logging, "utf-8")
        return settings

    def _flags(self) -> list[str]:
        return [
            "-Xms64m",
            f"-Xmx{self._heap}",
            "-XX:+UseSerialGC",  # one small heap: less memory and fewer threads than G1
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Djava.util.logging.config.file={self.folder / 'logging.properties'}",
        ]

    def _format(self, command: list[str], settings: Path) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        arguments = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(settings)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        if done.returncode:
            raise BrokerUnavailableError(f"Kafka could not prepare {self.folder}: {_last(done.stderr or done.stdout)}")

    def _run(self, command: list[str], bootstrap: str) -> None:
        assert self._lock is not None
        output = self.folder / "log" / "kafka.out"
        with output.open("wb") as log:
            self._watcher = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "pipeline.broker.watcher", str(self._lock.fileno()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(self._lock.fileno(),),
                start_new_session=True,  # Ctrl-C is for the supervisor
                cwd=Path(__file__).parents[2],
            )
        assert self._watcher.stdout is not None
        pid = int(self._watcher.stdout.readline() or 0)
        note = {"bootstrap": bootstrap, "java": pid, "owner": os.getpid(), "watcher": self._watcher.pid}
        (self.folder / "kafka.json").write_text(json.dumps(note), "utf-8")
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(bootstrap):
            if self._watcher.poll() is not None or not pid:
                raise BrokerUnavailableError(
                    f"Kafka ended while starting: {_last(output.read_text('utf-8', 'replace')) or 'it said nothing'}. "
                    f"More is in {self.folder / 'log'}"
                )
            if time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"Kafka did not answer in {START_TIMEOUT:.0f} s; see {self.folder / 'log'}"
                )
            time.sleep(0.05)
        self.bootstrap = bootstrap

    @property
    def pid(self) -> int | None:
        """The Java process, None when it does not run."""
        found = running(self.folder) if self._watcher else None
        return found.java if found else None

    def stop(self) -> None:
        """Stop the broker in order; what is committed is on disk. May be called twice."""
        if self._watcher is not None:
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
            (self.folder / "kafka.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def answers(bootstrap: str, timeout: float = 5.0) -> bool:
    """Return whether a broker there gives metadata: it does so only when it can take topics and messages."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 0.5).close()  # asked first: librdkafka would try for long
        found = AdminClient(quiet({"bootstrap.servers": bootstrap})).list_topics(timeout=timeout)
    except (OSError, KafkaException):
        return False
    brokers: dict[int, Any] = found.brokers
    return bool(brokers)


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


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "SLF4J" not in line]
    speaking = [line for line in lines if "Exception" in line or "rror" in line]
    return (speaking or lines or [""])[0 if speaking else -1][:300]
