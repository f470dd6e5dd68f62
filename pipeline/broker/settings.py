"""What embedded Kafka is told: its settings, where its log goes, the flags of its Java.

Kafka runs inside its folder and all paths here are relative to it: a comma, a backslash or a letter beyond ASCII in the
folder's name would mean something else in a properties file.
"""

from __future__ import annotations

import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

_SETTINGS: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=data
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
java.util.logging.FileHandler.pattern=log/kafka.%g.log
java.util.logging.FileHandler.limit=10000000
java.util.logging.FileHandler.count=3
java.util.logging.FileHandler.append=true
java.util.logging.FileHandler.formatter=java.util.logging.SimpleFormatter
java.util.logging.SimpleFormatter.format=%1$tFT%1$tT.%1$tL %4$s %3$s %5$s%6$s%n
"""

SETTINGS: Final = "server.properties"
LOG: Final = "log/kafka.0.log"


def write(folder: Path, *, host: str, port: int, controller: int, talkative: bool) -> None:
    """Write Kafka's two settings files into its folder."""
    (folder / SETTINGS).write_text(_SETTINGS.format(host=host, port=port, controller=controller), "utf-8")
    (folder / "logging.properties").write_text(_LOGGING.format(level="INFO" if talkative else "WARNING"), "utf-8")


def flags(heap: str) -> list[str]:
    """Return the flags of the Java that runs Kafka, with this much heap at the most."""
    return [
        "-Xms64m",
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",  # one small heap: less memory and fewer threads than G1
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Djava.util.logging.config.file=logging.properties",
    ]


def new_cluster_id(random: bytes | None = None) -> str:
    """Return a new cluster id: 22 letters. Never one that begins with a dash: Kafka's tools take that for an option."""
    while (found := urlsafe_b64encode(random or uuid.uuid4().bytes).rstrip(b"=").decode()).startswith("-"):
        random = None
    return found


def cluster_id(folder: Path) -> str | None:
    """Return the id of the cluster whose data are in this folder, None before it was prepared."""
    try:
        lines = (folder / "data" / "meta.properties").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    return dict(line.partition("=")[::2] for line in lines).get("cluster.id")
