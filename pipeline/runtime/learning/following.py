"""A triage worker that follows what is learned: all of it before its first batch, what came since between two batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pipeline.contract.metrics import Metrics
from pipeline.core.learning.shelf import Shelf
from pipeline.core.triage import Triage
from pipeline.runtime.learning.lessons import Lessons


class Following:
    """Keeps a `Triage` at what stands on the topic `lessons`. Where nothing was learned, a look costs some microseconds."""

    def __init__(
        self,
        client: Mapping[str, Any],
        triage: Triage,
        metrics: Metrics,
        stage: str,
        *,
        proof: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._triage = triage
        self._metrics = metrics
        self._stage = stage
        self._proof = proof
        self._clock = clock
        self._lessons = Lessons(client)
        self._shelf = Shelf()
        metrics.lessons.labels(stage)

    def begin(self) -> None:
        """Learn all that was learned so far. Raises BrokerUnavailableError where it cannot be read."""
        self._triage.taught = self._lessons.read().taught(self._proof)
        self._metrics.lessons.labels(self._stage).set(self._triage.taught.number)

    def follow(self) -> None:
        """Learn what came since; waits for nothing. A batch is judged by one version from its first mention to its last."""
        new = self._lessons.new(self._shelf)
        if not new:
            return
        gone: set[int] = set()
        for one in new:
            if isinstance(one, int):
                gone.add(one)
                continue
            self._forget(gone)
            if one.number > self._triage.taught.number:
                self._triage.teach(one)
        self._forget(gone)
        self._shelf = Shelf()  # the lessons were learned, the states say what is known already
        now = self._clock()
        for one in new:
            if not isinstance(one, int):
                seconds = max(0.0, (now - one.said_at).total_seconds())
                self._metrics.lesson_seconds.labels(self._stage).observe(seconds)
        self._metrics.lessons.labels(self._stage).set(self._triage.taught.number)

    def _forget(self, gone: set[int]) -> None:
        if gone:
            self._triage.unlearn(gone)
            gone.clear()

    def close(self) -> None:
        """Leave the broker."""
        self._lessons.close()
