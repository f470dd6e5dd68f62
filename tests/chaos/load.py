"""What goes in, with known content: files that grow, a site that misbehaves, records that are no mentions.

The truth is kept beside: every (id, revision, state) that a source has given, how many sources gave it, and whether it
is about a brand. Event time runs faster than the clock, so that a whole incident fits into minutes; it is now when the
load ends.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from pipeline.broker.client import quiet
from pipeline.contract import codec
from pipeline.contract.events import Feedback, Mention
from pipeline.topology import FEEDBACK, MENTIONS
from tests.chaos.texts import a_text

BRANDS = ("acme", "zeta", "orion", "vega")
SITE_BRAND = "quarry"  # what the site speaks of: no incident is scripted for it
Key = tuple[str, int, str]  # id, revision, state
CALM, STORM, AFTER = 42, 12, 46  # minutes of event time: one turn of the script
STORM_FACTOR = 4


@dataclass
class Truth:
    """What the sources have given. Written by one thread each; read at the end."""

    given: Counter[Key] = field(default_factory=Counter)  # how many sources gave it
    relevant: set[Key] = field(default_factory=set)
    maybe: set[Key] = field(default_factory=set)  # withdrawn by the source, perhaps before anybody has seen it
    erased: Counter[str] = field(default_factory=Counter)
    broken: Counter[bytes] = field(default_factory=Counter)  # what must become a dead letter of mentions
    taught: list[str] = field(default_factory=list)  # mentions of which a department has said whose they are, in order
    storms: int = 0  # incidents scripted for each brand
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: Key, *, relevant: bool) -> None:
        """Note that a source gives this."""
        with self.lock:
            self.given[key] += 1
            if relevant:
                self.relevant.add(key)


class Script:
    """Event time, and where in the script of calm and storm it is. `seconds` is how long the load is to last."""

    def __init__(self, seconds: float) -> None:
        turn = CALM + STORM + AFTER
        self.turns = max(1, round(seconds / 900))
        self.speed = self.turns * turn * 60 / seconds
        self.began, self.began_at = time.monotonic(), datetime.now(UTC)
        self._first = datetime.now(UTC) + timedelta(seconds=seconds) - timedelta(minutes=self.turns * turn)

    def now(self) -> datetime:
        """Return event time: never ahead of the clock."""
        passed = (time.monotonic() - self.began) * self.speed
        return min(self._first + timedelta(seconds=passed), datetime.now(UTC))

    @property
    def is_storm(self) -> bool:
        """Whether an incident is on."""
        minute = (self.now() - self._first).total_seconds() / 60 % (CALM + STORM + AFTER)
        return CALM <= minute < CALM + STORM and self.now() < datetime.now(UTC) - timedelta(minutes=1)


class Files(threading.Thread):
    """Writes one growing JSON Lines file a brand, and two that give the same mentions. `rate` is lines a second."""

    def __init__(self, folder: Path, truth: Truth, script: Script, rate: float, seed: int) -> None:
        super().__init__(name="files", daemon=True)
        folder.mkdir(parents=True, exist_ok=True)
        self.paths = {brand: folder / f"{brand}.jsonl" for brand in BRANDS}
        self.twins = [folder / "twin-a.jsonl", folder / "twin-b.jsonl"]
        self.truth = truth
        self.script = script
        self.rate = rate
        self._chance = random.Random(seed)
        self._number = 0
        self._recent: dict[str, list[dict[str, Any]]] = {brand: [] for brand in BRANDS}
        self.stop = threading.Event()
        self.lines = 0

    def run(self) -> None:
        handles = {name: path.open("ab") for name, path in self.paths.items()}
        twins = [path.open("ab") for path in self.twins]
        began, owed = time.monotonic(), 0.0
        stormed = False
        while not self.stop.wait(0.1):
            now = time.monotonic()
            storm = self.script.is_storm
            if storm and not stormed:
                self.truth.storms += 1
            stormed = storm
            owed += (now - began) * self.rate
            began = now
            count, owed = int(owed), owed - int(owed)
            for _ in range(count):
                brand = self._chance.choice(BRANDS)
                for _ in range(STORM_FACTOR if storm else 1):
                    handles[brand].write(self._line(brand, storm=storm))
            self._write_twins(twins, count)
            for handle in (*handles.values(), *twins):
                handle.flush()
        for handle in (*handles.values(), *twins):
            handle.close()

    def _write_twins(self, twins: list[Any], count: int) -> None:
        """Give the same mentions in both files: the second to arrive is a duplicate."""
        for _ in range(self._chance.randint(0, max(1, count // 10))):
            brand = self._chance.choice(BRANDS)
            row = self._row(brand, "twin", storm=False)
            line = json.dumps(row).encode() + b"\n"
            for twin in twins:
                twin.write(line)
                self.truth.add((f"twin:{row['id']}", 0, "live"), relevant=True)
                self.lines += 1

    def _row(self, brand: str | None, source: str, *, storm: bool) -> dict[str, Any]:
        self._number += 1
        native = f"{source}-{self._number}"
        return {
            "id": native,
            "source": source,
            "text": a_text(self._chance, brand, storm=storm, tag=f"ref {self._number}"),
            "created_at": self.script.now().isoformat(),
            "conversation": f"{source}:thread-{self._chance.randint(0, 400)}" if self._chance.random() < 0.3 else None,
            "author": {"id": f"a{self._chance.randint(0, 900)}", "followers": self._chance.randint(0, 5000)},
        }

    def _line(self, brand: str, *, storm: bool) -> bytes:
        self.lines += 1
        chance, source, recent = self._chance.random(), f"file-{brand}", self._recent[brand]
        if chance < 0.05 and recent:  # what was just given, once more
            return json.dumps(self._chance.choice(recent)).encode() + b"\n"
        if chance < 0.09 and recent:
            row = self._chance.choice(recent)
            recent.remove(row)
            row = {**row, "revision": row.get("revision", 0) + 1, "state": "edited", "text": f"{row['text']} (edited)"}
            recent.append(row)
            return self._give(row, relevant=True)
        if chance < 0.12 and recent:
            row = self._chance.choice(recent)
            recent.remove(row)
            gone = {key: row[key] for key in ("id", "source", "created_at", "conversation")}
            with self.truth.lock:
                self.truth.erased[f"{source}:{row['id']}"] += 1
            return self._give({**gone, "revision": row.get("revision", 0), "state": "deleted"}, relevant=True)
        if chance < 0.13:
            broken = f'{{"id": "broken-{self._number}-{self.lines}", "text": '.encode()
            with self.truth.lock:
                self.truth.broken[broken] += 1
            return broken + b"\n"
        if chance < 0.2:
            return self._give(self._row(None, source, storm=storm), relevant=False)
        row = self._row(brand, source, storm=storm)
        recent.append(row)
        del recent[:-60]
        return self._give(row, relevant=True)

    def _give(self, row: dict[str, Any], *, relevant: bool) -> bytes:
        key = (f"{row['source']}:{row['id']}", row.get("revision", 0), row.get("state", "live"))
        self.truth.add(key, relevant=relevant)
        return json.dumps(row).encode() + b"\n"


class Poison(threading.Thread):
    """Writes records to `mentions` that are none, one a second, each exactly once (an idempotent producer that waits)."""

    def __init__(self, client: dict[str, str], truth: Truth) -> None:
        super().__init__(name="poison", daemon=True)
        self.truth = truth
        self.stop = threading.Event()
        self._producer = Producer(
            {**quiet(client), "enable.idempotence": True, "message.timeout.ms": 0, "linger.ms": 5, "acks": "all"}
        )

    def run(self) -> None:
        number = 0
        while not self.stop.wait(1.0):
            number += 1
            value = (b"\xff\xfe %d", b"{no json %d", b'["%d"]', b'{"id": %d}')[number % 4] % number
            with self.truth.lock:
                self.truth.broken[value] += 1
            self._producer.produce(MENTIONS, value, b"poison-%d" % number)
            self._producer.poll(0)
        self._producer.flush()


class Departments(threading.Thread):
    """Says of three mentions a second whose they are, each exactly once: as the signed webhook does, with the mention."""

    def __init__(self, client: dict[str, str], truth: Truth, seed: int) -> None:
        super().__init__(name="departments", daemon=True)
        self.truth = truth
        self.stop = threading.Event()
        self._chance = random.Random(seed)
        self._producer = Producer(
            {**quiet(client), "enable.idempotence": True, "message.timeout.ms": 0, "linger.ms": 5, "acks": "all"}
        )

    def run(self) -> None:
        number = 0
        while not self.stop.wait(0.33):
            number += 1
            now = datetime.now(UTC)
            source, native = f"desk-{number % 7}", f"said-{number}"
            text = a_text(self._chance, self._chance.choice(BRANDS), storm=False, tag=f"ref {native}")
            mention = Mention(
                id=f"{source}:{native}", source=source, native_id=native, text=text, created_at=now, collected_at=now
            )
            said = Feedback(
                id=mention.id,
                at=now,
                by=f"person-{number % 11}",
                department=self._chance.choice(("service", "support", "design", "marketing")),
                mention=mention,
            )
            with self.truth.lock:
                self.truth.taught.append(mention.id)
            headers: Any = codec.headers(Feedback, event_id=mention.id, source="/chaos", at=now)
            self._producer.produce(FEEDBACK, codec.encode(said), mention.id, 0, headers=headers)
            self._producer.poll(0)
        self._producer.flush()
