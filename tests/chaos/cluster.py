"""One or three Kafka brokers on loopback, each reached by clients through a proxy that can disturb."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline.broker import jars, java, settings
from pipeline.broker.client import quiet
from tests.chaos.proxy import Proxy
from tests.monitoring.real_prometheus import free_port
from tests.running import until

PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},INSIDE://127.0.0.1:{inside}
advertised.listeners=PLAINTEXT://127.0.0.1:{proxied},INSIDE://127.0.0.1:{inside}
inter.broker.listener.name=INSIDE
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs=data
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={least}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={least}
min.insync.replicas={least}
default.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=3000000
replica.fetch.max.bytes=3000000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.session.timeout.ms=6000
"""


@dataclass
class Broker:
    """One node: its folder, ports and process."""

    node: int
    folder: Path
    port: int
    controller: int
    inside: int
    proxy: Proxy
    process: subprocess.Popen[bytes] | None = None
    is_paused: bool = False

    def send(self, number: int) -> None:
        """Send a signal to its Java, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@dataclass
class Cluster:
    """Brokers of one cluster. A context manager; `bootstrap` is what clients are given: the proxies."""

    folder: Path
    size: int = 1
    brokers: list[Broker] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        """The proxies' addresses."""
        return ",".join(f"127.0.0.1:{broker.proxy.port}" for broker in self.brokers)

    @property
    def client(self) -> dict[str, str]:
        """Client settings that go round the proxies: for who looks, not for who is tested."""
        return {"bootstrap.servers": ",".join(f"127.0.0.1:{broker.inside}" for broker in self.brokers)}

    def __enter__(self) -> Self:
        classpath = jars.classpath(jars.ensure())
        self._command = [str(java.find()), *settings.flags("512m"), "-cp", classpath]
        for node in range(1, self.size + 1):
            folder = self.folder / f"broker-{node}"
            (folder / "log").mkdir(parents=True)
            port = free_port()
            self.brokers.append(Broker(node, folder, port, free_port(), free_port(), Proxy(port)))
        voters = ",".join(f"{broker.node}@127.0.0.1:{broker.controller}" for broker in self.brokers)
        cluster = settings.new_cluster_id()
        for broker in self.brokers:
            settings.write(
                broker.folder, host="127.0.0.1", port=broker.port, controller=broker.controller, talkative=False
            )
            text = PROPERTIES.format(
                node=broker.node,
                voters=voters,
                port=broker.port,
                controller=broker.controller,
                inside=broker.inside,
                proxied=broker.proxy.port,
                copies=self.size,
                least=max(1, self.size - 1),
            )
            (broker.folder / settings.SETTINGS).write_text(text, "utf-8")
            subprocess.run(
                [*self._command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", settings.SETTINGS],
                cwd=broker.folder,
                check=True,
                capture_output=True,
                timeout=120,
            )
        try:
            for broker in self.brokers:
                self.start(broker)
            self.wait_until_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, broker: Broker) -> None:
        """Start one broker's Java."""
        with (broker.folder / "log" / "kafka.out").open("ab") as out:
            broker.process = subprocess.Popen(
                [*self._command, "kafka.Kafka", settings.SETTINGS],
                cwd=broker.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait_until_answers(self, seconds: float = 90) -> None:
        """Wait until every broker is in the cluster and every partition has a leader."""
        until(self._answers, seconds, f"the brokers in {self.folder} do not answer", every=0.2)

    def _answers(self) -> bool:
        try:
            found = AdminClient(quiet(self.client)).list_topics(timeout=3)
        except KafkaException:
            return False
        led = all(part.leader >= 0 for topic in found.topics.values() for part in topic.partitions.values())
        return len(found.brokers) == self.size and led

    def kill(self, broker: Broker) -> None:
        """End a broker as a power cut does."""
        broker.send(signal.SIGKILL)
        if broker.process is not None:
            broker.process.wait(30)

    def restart(self, broker: Broker) -> None:
        """Start a broker that was killed."""
        if broker.process is None or broker.process.poll() is not None:
            self.start(broker)

    def pause(self, broker: Broker, seconds: float) -> None:
        """Stop a broker for a while."""
        broker.send(signal.SIGSTOP)
        time.sleep(seconds)
        broker.send(signal.SIGCONT)

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            broker.proxy.close()
            broker.send(signal.SIGCONT)
            broker.send(signal.SIGKILL)
            if broker.process is not None:
                broker.process.wait(30)


def memory(pid: int) -> int:
    """Return the resident memory of a process in bytes, 0 when it is gone."""
    try:
        found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(found.stdout.strip() or 0) * 1024
    except ValueError:
        return 0


def descriptors(pid: int) -> int:
    """Return how many files a process has open; 0 where the system does not say."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
