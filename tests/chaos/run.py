"""One run: brokers, workers, load, faults, rest, account."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.broker import admin
from pipeline.config.load import read as read_config
from pipeline.runtime.declared import declared
from tests.chaos import account as accounts
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault, Faults, Surroundings
from tests.chaos.load import BRANDS, SITE_BRAND, Departments, Files, Poison, Script, Truth
from tests.chaos.site import Receiver, Site
from tests.chaos.watch import Gap, Watch
from tests.chaos.workers import ROLES, STOP_LIMIT, Crew

SECRET = "whsec_" + "Y2hhb3MgY2hhb3MgY2hhb3MgY2hhb3MgY2hhb3M="
PARTITIONS = 4
STANDSTILL_LIMIT = 15.0  # seconds after a worker's death
REST = 180.0  # seconds the pipeline has to bring everything to its end once faults have ended
DISK = "3g"
AFTER = 20.0  # seconds in which a standstill is put down to a fault

CONFIG = """\
version: 1
heartbeat_interval: 1s
topics: {{partitions: {partitions}, replication: {replication}}}
brands:
{brands}
sources:
{sources}
  site: {{type: hackernews, base_url: "{site}", poll_interval: 500ms, slowest_poll: 1s, overlap: 60s, lookback: 10m}}
triage: {{batch: {batch}, dead_letter_limit: 0.9}}
routes:
  - {{name: changing, when: '"{word}"', to: [service], priority: high}}
alerts: {{window: 10m, lateness: 5m, resolve_after: 10m, min_mentions: 20}}
notifiers:
  hook: {{type: webhook, url: "{hook}", secret: {{env: CHAOS_HOOK_SECRET}}, severities: [critical, warning, info]}}
"""


@dataclass
class Plan:
    """What a run is to be."""

    seed: int = 1
    faults: int = 300
    brokers: int = 1
    minutes: float = 15.0
    rate: float = 80.0  # lines a second; the site adds five
    workers: int = 2  # of each role
    only: tuple[str, ...] = ()  # kinds of faults; all where none is named


@dataclass
class Result:
    """What came of it."""

    plan: Plan
    account: accounts.Account
    faults: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    standstill: dict[str, dict[str, float]] = field(default_factory=dict)  # by kind of fault
    longest: dict[str, float] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    slow_stops: list[Any] = field(default_factory=list)
    longest_stop: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    rest_seconds: float = 0.0
    timeline: list[list[Any]] = field(default_factory=list)  # second, kind, target, until
    gaps: list[list[Any]] = field(default_factory=list)  # second, seconds, partition
    began: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether nothing is lost, duplicated, wrong, or too slow."""
        return not (self.account.wrong or self.failed or self.slow_stops or self.is_too_slow)

    @property
    def is_too_slow(self) -> bool:
        """Whether somebody's death held everything up for too long."""
        return any(self.longest.get(name + PARTITION, 0.0) >= STANDSTILL_LIMIT for name in (ALONE, MANNED))


def write_configs(folder: Path, plan: Plan, files: Files, site: Site, receiver: Receiver) -> list[Path]:
    """Write two configurations that differ in a rule and in the size of batches."""
    sources = files.paths | {path.stem: path for path in files.twins}
    paths = []
    for number, (batch, word) in enumerate(((2000, "furious"), (300, "terrible"))):
        path = folder / f"earshot-{number}.yaml"
        path.write_text(
            CONFIG.format(
                replication=plan.brokers,
                partitions=PARTITIONS,
                brands="\n".join(f"  {brand}: {{query: {brand}}}" for brand in (*BRANDS, SITE_BRAND)),
                sources="\n".join(
                    f'  {name}: {{type: jsonl, path: "{file}", poll_interval: 200ms, slowest_poll: 500ms}}'
                    for name, file in sources.items()
                ),
                site=site.address,
                hook=receiver.address,
                batch=batch,
                word=word,
            ),
            "utf-8",
        )
        paths.append(path)
    return paths


@contextlib.contextmanager
def disks(folder: Path, count: int) -> Any:
    """Mount a small file system for each broker where that is allowed; yield their paths by the broker's number."""
    mounted: dict[int, Path] = {}
    try:
        for node in range(1, count + 1):
            path = folder / f"broker-{node}"
            path.mkdir(parents=True)
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", str(path)], capture_output=True
            )
            if done.returncode == 0:
                mounted[node] = path
        yield mounted
    finally:
        for path in mounted.values():
            subprocess.run(["umount", "-l", str(path)], capture_output=True, check=False)


def run(plan: Plan, folder: Path, say: Any = print) -> Result:
    """Do it; return what came of it."""
    os.environ["CHAOS_HOOK_SECRET"] = SECRET
    os.environ["EARSHOT_FAUST_WEB"] = "off"
    os.environ["TMPDIR"] = str(folder)
    truth = Truth()
    seconds = plan.minutes * 60
    receiver, site = Receiver(plan.seed), Site(truth, 5.0, plan.seed)
    try:
        with disks(folder, plan.brokers) as mounted, Cluster(folder, plan.brokers) as cluster:
            script = Script(seconds)
            files = Files(folder / "sources", truth, script, plan.rate, plan.seed)
            configs = write_configs(folder, plan, files, site, receiver)
            admin.apply(cluster.client, declared(read_config(configs[0])))
            around = Surroundings(folder, configs, mounted)
            counts = dict.fromkeys(ROLES, plan.workers)
            with Crew(folder / "workers", cluster.bootstrap, configs[0], counts, plan.seed) as crew:
                return _live(plan, cluster, crew, around, (truth, script, files, site, receiver), say)
    finally:
        site.close()
        receiver.close()


def _live(plan: Plan, cluster: Cluster, crew: Crew, around: Surroundings, load: Any, say: Any) -> Result:
    truth, script, files, site, receiver = load
    watch = Watch(cluster.client, PARTITIONS)
    others = [site, Poison(cluster.client, truth), Departments(cluster.client, truth, plan.seed)]
    for thread in (files, *others, watch):
        thread.start()
    deadline = time.monotonic() + 90
    while len(watch.seen) < PARTITIONS:  # before that nothing stands still
        assert time.monotonic() < deadline, f"nothing comes out: {crew.everything_said()}"
        time.sleep(0.2)
    watch.gaps.clear()
    site.trouble = receiver.trouble = 0.15
    faults = Faults(crew, cluster, around, plan.seed, plan.only)
    end = script.began + plan.minutes * 60
    _strike(plan, faults, end, watch, say)
    faults.finish()
    site.trouble = receiver.trouble = 0.0
    load_until = time.monotonic()
    for thread in (files, *others):
        thread.stop.set()
        thread.join(30)
    say("load and faults have ended, coming to rest")
    rested = _rest(cluster, truth, receiver, say)
    watch.stop.set()
    watch.join(20)
    crew.end_in_order()
    account = accounts.make(cluster.client, truth, receiver)
    result = Result(plan, account, rest_seconds=round(rested, 1), versions=_versions())
    result.faults = dict(faults.counts().most_common())
    result.points = dict(sorted(crew.reached().items()))
    result.skipped, result.errors, result.failed = faults.skipped, faults.errors, crew.failed
    result.ended = dict(crew.ended.most_common())
    result.slow_stops = [one for one in crew.stopped if one[1] > STOP_LIMIT]
    for role, took, _ in crew.stopped:
        result.longest_stop[role] = max(took, result.longest_stop.get(role, 0.0))
    _standstills(result, faults, watch, crew, load_until)
    zero = script.began
    result.began = script.began_at.isoformat()
    result.timeline = [[round(f.at - zero, 1), f.kind, f.target, round(f.until - zero, 1)] for f in faults.done]
    result.gaps = [[round(gap.since - zero, 1), round(gap.seconds, 1), gap.partition] for gap in watch.gaps]
    return result


def _strike(plan: Plan, faults: Faults, end: float, watch: Watch, say: Any) -> None:
    """Spread the faults over the time that is left; the last part of the load is without any."""
    began = time.monotonic()
    every = max(0.05, (end - 10 - began) / plan.faults)
    said = began
    for number in range(plan.faults):
        wait = began + number * every - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        faults.next()
        if time.monotonic() - said > 30:
            said = time.monotonic()
            gap = watch.longest(said - 30, said, whole=True)
            say(f"{said - began:5.0f} s: {number + 1} faults, {watch.count} judged, longest standstill {gap:.1f} s")
    time.sleep(max(0.0, end - time.monotonic()))


def _rest(cluster: Cluster, truth: Truth, receiver: Receiver, say: Any) -> float:
    """Wait until everything has come out, or nothing more comes; return the seconds it took."""
    began = time.monotonic()
    last: Any = None
    moved = began
    while time.monotonic() - began < REST:
        time.sleep(2)
        enriched = accounts.mentions(cluster.client, "mentions-enriched")
        letters = {record.value() for record in accounts.read(cluster.client, "mentions-dlq")}
        pulses = sum(accounts.pulses(cluster.client).values())
        folded = sum(state.counted + state.late for state in accounts.states(cluster.client).values())
        found = accounts.incidents(accounts.alerts(cluster.client))
        told = sum(any(key.startswith(f"{name}-firing") for key in receiver.bodies) for name in found)
        missing = sum(1 for key in truth.relevant if not enriched[key] and key not in truth.maybe)
        missing += len(truth.broken.keys() - letters)
        learned = {lesson.id for lesson in accounts.lessons(cluster.client)}
        now = (missing, pulses - folded, len(found) - told, len(set(truth.taught) - learned))
        if now != last:
            last, moved = now, time.monotonic()
            say("to come: {} mentions, {} to be folded, {} to be told, {} to be learned".format(*now))
        if not any(now) and time.monotonic() - moved >= 6:
            break
        if time.monotonic() - moved > 60:
            break
    return moved - began


def _standstills(result: Result, faults: Faults, watch: Watch, crew: Crew, load_until: float) -> None:
    """Put the times without a record down to the faults before them."""
    watch.gaps = [gap for gap in watch.gaps if gap.since < load_until]
    alone = [fault for fault in faults.done if fault.kind in DEATHS and _is_alone(fault, faults.done, load_until)]
    quiet = [fault for fault in faults.done if fault.kind in DEATHS and not _near(fault, faults.done, BROKER_KINDS)]
    ill = [(fault.at, fault.until) for fault in faults.done if fault.kind in BROKER_KINDS]

    def well(gap: Gap) -> float:
        """Return the seconds of a gap in which brokers and network were well: until the next fault of theirs began."""
        if any(at <= gap.since < until + AFTER for at, until in ill):
            return 0.0
        return min([gap.until, *(at for at, _ in ill if gap.since < at)]) - gap.since

    def manned(gap: Gap) -> float:
        """Return the seconds of them after the last moment at which nobody of a role on the way was running."""
        end = gap.since + well(gap)
        backs = [until for role, at, until in crew.absent if role in WAY and at < end and until > gap.since]
        return max(0.0, end - max([gap.since, *backs]))

    for fault in faults.done:
        until = min(load_until, max(fault.until, fault.at) + AFTER)
        found = result.standstill.setdefault(fault.kind, {"whole": 0.0, "a partition": 0.0})
        its = (
            whole_gap if fault.kind in BROKER_KINDS else well
        )  # a broker's absence is not put down to a worker's death
        for name, whole in (("whole", True), ("a partition", False)):
            found[name] = max(found[name], round(watch.longest(fault.at, until, whole=whole, seconds=its), 1))
    for name, of, seconds in ((ALONE, alone, whole_gap), (TOGETHER, quiet, well), (MANNED, quiet, manned)):
        for what, whole in (("", True), (PARTITION, False)):
            result.longest[name + what] = max(
                (
                    round(watch.longest(one.at, min(load_until, one.at + AFTER), whole=whole, seconds=seconds), 1)
                    for one in of
                ),
                default=0.0,
            )
    result.longest["deaths that came alone"] = len(alone)
    result.longest["of all"] = round(watch.longest(0, load_until, whole=True), 1)


def whole_gap(gap: Gap) -> float:
    """Return how long it was."""
    return gap.seconds


def _is_alone(fault: Fault, done: list[Fault], load_until: float) -> bool:
    """Whether nothing else was wrong while a worker was away and came back."""
    return fault.at + AFTER < load_until and not _near(fault, done, {one.kind for one in done} - {"topic deleted"})


def _near(fault: Fault, done: list[Fault], kinds: Collection[str]) -> bool:
    """Whether another fault of these kinds was on, or had just been, in the time that is put down to this one."""
    return any(
        other is not fault and other.kind in kinds and other.at < fault.at + AFTER and other.until + AFTER > fault.at
        for other in done
    )


ALONE = "after a worker's death, nothing else wrong"
TOGETHER = "after workers' deaths that overlap, brokers well"
MANNED = "of that, while a worker of each role ran"
PARTITION = ", of a partition"
WAY = ("connectors", "triage")  # whose absence alone keeps everything from mentions-enriched
BROKER_KINDS = frozenset(
    ("connections reset", "delays", "network cut", "broker killed", "broker paused", "leaders moved", "disk full")
)
DEATHS = frozenset(("kill", "pause", "fail point: kill", "fail point: pause", "clock step"))


def _versions() -> dict[str, str]:
    names = ("confluent-kafka", "aiokafka", "faust-streaming", "mode-streaming", "msgspec")
    return {name: version(name) for name in names}
