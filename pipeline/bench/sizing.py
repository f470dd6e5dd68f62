"""What so many mentions a second need, on paper: from what one costs, as `earshot bench scaling` measures it.

Plain arithmetic, so that it can be checked: cores are what a mention costs times the rate, over the share of a core
that may be busy; workers are one core each, and there are at least as many partitions; every byte is written to each
replica. It leaves out what costs by the source or by the brand, connectors, reputation and notify: a core or two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

RATES: Final = (1_000, 10_000, 100_000)
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Costs:
    """What one mention costs. Seconds of a core; bytes as they lie on Kafka, compressed."""

    worker: float
    broker: float
    stored: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What is assumed, and may be assumed otherwise."""

    busy: float = 0.6  # of a core: the rest is for peaks and for catching up after a standstill
    replication: int = 3
    days: float = 7.0  # that everything is kept
    cores_of_broker: int = 8
    core_month: float = 25.0  # in any currency, with 4 GB of memory
    gigabyte_month: float = 0.1


@dataclass(frozen=True, slots=True)
class Need:
    """What it takes. Disk in GB over all replicas, network in MB a second into the brokers, money a month."""

    rate: int
    workers: int
    partitions: int
    brokers: int
    broker_cores: float
    disk: float
    network: float
    money: float


def need(rate: int, costs: Costs, terms: Terms | None = None) -> Need:
    """Return what this many mentions about a brand take a second, all of them judged."""
    given = terms or Terms()
    workers = math.ceil(rate * costs.worker / given.busy)
    broker_cores = rate * costs.broker * given.replication / given.busy
    brokers = max(given.replication, math.ceil(broker_cores / given.cores_of_broker))
    disk = rate * costs.stored * given.replication * DAY * given.days / 1e9
    return Need(
        rate=rate,
        workers=workers,
        partitions=max(4, 1 << math.ceil(math.log2(workers * 2))),  # room to double the workers
        brokers=brokers,
        broker_cores=broker_cores,
        disk=disk,
        network=rate * costs.stored * given.replication / 1e6,
        money=(workers + max(broker_cores, 2.0 * brokers)) * given.core_month + disk * given.gigabyte_month,
    )
